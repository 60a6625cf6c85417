"""The sentences themselves: for each code the reason (``event.reason``) and the line (``message``), with placeholders.

Placeholders are those of ``phrases`` and ``tls_phrases``, and some about a reason that the door itself gave:
``detail`` is that reason (": the reserved connect flag is set") or nothing, ``why`` is that or the reason below;
``denial``, ``failure`` and ``lateness`` are that or the plugin.
"It" is the device, "we" are the broker. No sentence ends with a period.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from doorlog.events.codes import Code, DisconnectCause


class Words(NamedTuple):
    """The two templates of a code."""

    reason: str
    message: str


CONNECT: Final[dict[str, Words]] = {
    Code.ADMITTED: Words("it passed every check", "{guest} admitted {over}"),
    # accept
    Code.TOO_MANY_CONNECTIONS: Words("too many connections wait for a verdict", "{who} turned away at {listener}{why}"),
    Code.SOURCE_BLOCKED: Words(
        "its address is blocked at {listener}", "{who} turned away at {listener}: its address is blocked"
    ),
    # proxy
    Code.PROXY_HEADER_MISSING: Words(
        "{listener} requires a PROXY header, and none came",
        "{address} brought no PROXY header to {listener}, which requires one{detail}",
    ),
    Code.PROXY_HEADER_INVALID: Words(
        "its PROXY header breaks the protocol", "{address} sent a broken PROXY header to {listener}{detail}"
    ),
    Code.PROXY_UNTRUSTED_SOURCE: Words(
        "{listener} takes connections only from its proxy networks",
        "{address} turned away at {listener}: it is in none of the proxy networks",
    ),
    # hello
    Code.CLOSED_BEFORE_HELLO: Words(
        "it closed the connection before its ClientHello was complete",
        "{who} opened a connection to {listener} and closed it {closed_early}",
    ),
    Code.HELLO_TIMEOUT: Words("no complete ClientHello came in time", "{who} {sent_late}"),
    Code.PLAINTEXT_MQTT: Words(
        "it sent MQTT without TLS to a TLS port", "{who} sent MQTT without TLS to {listener}{port}, which is for TLS"
    ),
    Code.PLAINTEXT_HTTP: Words(
        "it sent HTTP without TLS to a TLS port", "{who} sent HTTP without TLS to {listener}{port}, which is for TLS"
    ),
    Code.NOT_TLS: Words("what it sent is not TLS", "{who} sent something that is not TLS to {listener}{port}{detail}"),
    Code.MALFORMED_HELLO: Words(
        "its ClientHello breaks the TLS protocol", "{who} sent a broken ClientHello to {listener}{detail}{sent}"
    ),
    # handshake: the device refuses us
    Code.SERVER_CERTIFICATE_UNKNOWN_CA: Words(
        "it does not trust the issuer of our certificate{comma_issuer}{alert}",
        "{who} refused our certificate: it does not trust its issuer{issuer}{alert}{findings}",
    ),
    Code.SERVER_CERTIFICATE_EXPIRED: Words(
        "{expiry_named}{alert}", "{who} refused our certificate: {expiry}{alert}{findings}"
    ),
    Code.SERVER_CERTIFICATE_BAD: Words(
        "it refused our certificate{what_is_bad}{alert}",
        "{who} refused our certificate{what_is_bad}{alert}",
    ),
    Code.SERVER_CERTIFICATE_REVOKED: Words(
        "it takes our certificate for revoked{alert}",
        "{who} refused our certificate{our_serial}: it takes it for revoked{alert}",
    ),
    Code.SERVER_CERTIFICATE_UNSUPPORTED: Words(
        "it can not use the kind or the key usage of our certificate{our_key}{alert}",
        "{who} refused our certificate: it can not use its kind or key usage{our_key}{alert}",
    ),
    Code.SERVER_CERTIFICATE_UNKNOWN: Words(
        "it refused our certificate and does not say why{names}{alert}",
        "{who} refused our certificate and does not say why{names}{alert}",
    ),
    Code.CLOSED_AFTER_SERVER_CERTIFICATE: Words(
        "it closed the connection after our certificate without an alert",
        "{who} closed the connection after our certificate{issuer_and_version} without an alert:"
        " some clients refuse a certificate this way",
    ),
    Code.RESET_AFTER_SERVER_CERTIFICATE: Words(
        "the connection was reset after our certificate without an alert",
        "{who}: connection reset after our certificate{issuer_and_version} without an alert:"
        " some clients refuse a certificate this way",
    ),
    Code.TIMEOUT_AFTER_SERVER_CERTIFICATE: Words(
        "it sent nothing more after our certificate",
        "{who} was sent our certificate{issuer_and_version} and did not finish the handshake{within}",
    ),
    Code.CLIENT_ALERT: Words(
        "it ended the handshake{with_alert}{names_in_doubt}",
        "{who} ended the handshake at {listener}{with_alert}{in_tls}{names_in_doubt}",
    ),
    # handshake: we refuse the device
    Code.CLIENT_CERTIFICATE_MISSING: Words(
        "it showed no client certificate, and {listener} requires one{sent}",
        "{who} showed no client certificate, which {listener} requires{sent}",
    ),
    Code.CLIENT_CERTIFICATE_EXPIRED: Words(
        "its client certificate {its_expiry}{sent}", "{client_certificate} {its_expiry}: refused"
    ),
    Code.CLIENT_CERTIFICATE_NOT_YET_VALID: Words(
        "its client certificate {its_beginning}{sent}", "{client_certificate} {its_beginning}: refused"
    ),
    Code.CLIENT_CERTIFICATE_UNTRUSTED: Words(
        "its client certificate does not come from an authority that {listener} trusts{its_issuer}{sent}",
        "{client_certificate} does not come from an authority that {listener} trusts{its_issuer}: refused",
    ),
    Code.CLIENT_CERTIFICATE_REVOKED: Words(
        "its client certificate is revoked{sent}", "{client_certificate} is revoked: refused"
    ),
    Code.CLIENT_CERTIFICATE_INVALID: Words(
        "its client certificate failed verification{sent}",
        "{client_certificate} failed verification and is refused{detail}",
    ),
    # handshake: no agreement
    Code.NO_SHARED_VERSION: Words("it {versions}{sent}", "{who} {versions}{sent}"),
    Code.NO_SHARED_CIPHER: Words(
        "it offers no cipher suite that {listener} can use{ciphers}{our_key}{sent}",
        "{who} offers no cipher suite that {listener} can use{ciphers}{our_key}{sent}",
    ),
    Code.NO_SHARED_GROUP: Words(
        "it offers no key exchange group that {listener} supports{sent}",
        "{who} offers no key exchange group that {listener} supports{sent}",
    ),
    Code.NO_SHARED_SIGNATURE_ALGORITHM: Words(
        "it offers no signature algorithm that fits our certificate{our_key}{sent}",
        "{who} offers no signature algorithm that fits the certificate of {listener}{our_key}{sent}",
    ),
    Code.ALPN_MISMATCH: Words(
        "it offers no application protocol of {listener}{protocols}{sent}",
        "{who} offers no application protocol of {listener}{protocols}{sent}",
    ),
    Code.HANDSHAKE_FAILED: Words(
        "the TLS handshake failed{sent}", "{who}: the TLS handshake with {listener} failed{detail}{in_tls}{sent}"
    ),
    # connect
    Code.CLOSED_BEFORE_CONNECT: Words(
        "it closed the connection before its CONNECT was complete", "{who} {left_before_connect}"
    ),
    Code.CONNECT_TIMEOUT: Words(
        "no complete CONNECT came in time", "{who} sent no complete CONNECT to {listener}{within}"
    ),
    Code.NOT_MQTT: Words(
        "what it sent is not MQTT", "{who} sent something that is not MQTT to {listener}{port}{detail}"
    ),
    Code.MALFORMED_CONNECT: Words(
        "its CONNECT breaks the MQTT protocol", "{who} sent a broken CONNECT to {listener}{detail}"
    ),
    Code.CONNECT_TOO_LARGE: Words(
        "its CONNECT is larger than {listener} accepts",
        "{who} sent a CONNECT that is too large for {listener}{detail}",
    ),
    Code.UNSUPPORTED_PROTOCOL_VERSION: Words(
        "it speaks {spoken}, the broker speaks MQTT 3.1.1", "{who} speaks {spoken}, the broker speaks MQTT 3.1.1"
    ),
    Code.CLIENT_ID_REJECTED: Words(
        "its client id is not acceptable", "client id{client_id} from {address} is not acceptable{detail}"
    ),
    Code.WEBSOCKET_REJECTED: Words(
        "its WebSocket handshake is not acceptable", "{who} got no WebSocket at {listener}{detail}"
    ),
    # credentials
    Code.BAD_PASSWORD: Words("the password{for_user} is wrong", "wrong password{for_user} from {address}{claimed}"),
    Code.UNKNOWN_USER: Words("there is no such user{user}", "unknown user{user} from {address}{claimed}"),
    Code.NO_CREDENTIALS: Words(
        "it brought no credentials", "{who} brought no credentials to {listener}, which requires them"
    ),
    Code.NOT_AUTHORIZED: Words(
        "the login{of_user} is not allowed{denied_by}",
        "login{of_user} from {address}{claimed} is not allowed{denial}",
    ),
    Code.CLIENT_ID_TAKEN: Words(
        "the client id{client_id} belongs to another user",
        "client id{client_id} refused to {claimant}: it belongs to another user",
    ),
    Code.WILL_NOT_AUTHORIZED: Words(
        "it may not leave its will{on_topic}",
        "login{of_user} from {address}{claimed} refused: it may not leave its will{on_topic}{detail}",
    ),
    Code.AUTH_BACKEND_ERROR: Words(
        "{failed_plugin} failed, which is no fault of the device",
        "login{of_user} from {address}{claimed} refused{failure}",
    ),
    Code.AUTH_TIMEOUT: Words(
        "{failed_plugin} gave no answer in time, which is no fault of the device",
        "login{of_user} from {address}{claimed} refused{lateness}",
    ),
    Code.THROTTLED: Words(
        "too many logins at the same time", "login{of_user} from {address}{claimed} refused unchecked{why}"
    ),
    # any stage
    Code.LOG_UNAVAILABLE: Words(
        "the log can not be written, and nobody is admitted without a record",
        "{who} turned away at {listener}: the log can not be written, and nobody is admitted without a record",
    ),
    Code.SERVER_SHUTDOWN: Words("the broker was stopping", "{who} turned away: the broker was stopping"),
    Code.INTERNAL_ERROR: Words(
        "the broker itself failed", "{who} turned away at {listener}: the broker itself failed{detail}"
    ),
}
"""By ``event.code`` of a ``connect`` event."""

DISCONNECT: Final[dict[str, Words]] = {
    DisconnectCause.NORMAL: Words("it sent DISCONNECT", "{guest} disconnected{after}"),
    DisconnectCause.CLOSED: Words(
        "it closed the connection without DISCONNECT", "{guest} closed the connection without DISCONNECT{after}"
    ),
    DisconnectCause.RESET: Words(
        "the device or the network reset the connection",
        "{guest} lost{after}: the device or the network reset the connection",
    ),
    DisconnectCause.KEEP_ALIVE_TIMEOUT: Words(
        "it sent nothing for 1.5 times its keep-alive{keep_alive}",
        "{guest} lost{after}: it sent nothing for 1.5 times its keep-alive{keep_alive}",
    ),
    DisconnectCause.TAKEN_OVER: Words(
        "the same client id connected again", "{guest} replaced{after}: the same client id connected again"
    ),
    DisconnectCause.PROTOCOL_ERROR: Words(
        "it sent a packet that breaks the MQTT protocol",
        "{guest} cut off{after}: it sent a packet that breaks the MQTT protocol{detail}",
    ),
    DisconnectCause.PACKET_TOO_LARGE: Words(
        "it sent a packet that is too large for {listener}",
        "{guest} cut off{after}: it sent a packet that is too large for {listener}{detail}",
    ),
    DisconnectCause.TLS_ERROR: Words(
        "TLS broke within the session", "{guest} lost{after}: TLS broke within the session{detail}"
    ),
    DisconnectCause.CLOSED_BY_BROKER: Words(
        "the broker closed the connection", "{guest} cut off{after}: the broker closed the connection{detail}"
    ),
    DisconnectCause.LOG_UNAVAILABLE: Words(
        "the record of its admission could not be written",
        "{guest} cut off{after}: the record of its admission could not be written",
    ),
    DisconnectCause.SERVER_SHUTDOWN: Words(
        "the broker was stopping", "{guest} disconnected{after}: the broker was stopping"
    ),
}
"""By ``event.code`` of a ``disconnect`` event."""

AUTHORIZE: Final = Words("no access rule allows it to {act}", "{guest} may not {act}")

NO_WORDS: Final = Words("no reason is known", "{who} at {listener}{why}")
"""For a code of a newer version."""
