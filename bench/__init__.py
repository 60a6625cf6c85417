"""What doorlog costs, side by side with stock amqtt and mosquitto; ratios of one run, never a timed test.

In reading order: ``results`` (what was measured, what it should be), ``options`` (how much to do), ``machine``,
``meters`` (CPU and memory of a process), ``plugins`` (the cheap login that both brokers use), ``door`` and ``stock``
(the processes that are measured), ``records`` (what the log says), ``servers`` (starts them), ``clients`` (the device's
side), and the scenarios: ``costs``, ``memory``, ``latency`` with ``storm``, ``promise`` with ``hostile`` and ``crowd``.

``log`` is a benchmark of its own, of the log alone: ``log_events`` (what is written), ``log_rivals`` (by whom else),
``log_loop`` with ``ticks`` (what the event loop notices).

``identity`` is another: how well devices that fail in TLS are named in simulated fleets, beside ``identity_naive`` (a
guess), and ``identity_cost`` (what naming costs with many devices).
"""
