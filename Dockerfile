# Two stages: what builds does not run.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE CHANGELOG.md ./
RUN python -m venv /opt/doorlog && /opt/doorlog/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY broker broker
COPY plugins plugins
RUN /opt/doorlog/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin doorlog \
    && install -d -o doorlog -g doorlog -m 0750 /var/log/doorlog
COPY --from=build /opt/doorlog /opt/doorlog
ENV PATH=/opt/doorlog/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
VOLUME /var/log/doorlog
EXPOSE 8883
ENTRYPOINT ["doorlog"]
CMD ["run", "-c", "/etc/doorlog/doorlog.yaml"]
