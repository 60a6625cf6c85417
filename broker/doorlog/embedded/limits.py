"""What one client, and all of them together, may hold in the broker's memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """The bounds of the embedded broker; amqtt has none of them.

    Attributes:
        max_qos: The highest QoS that a subscription is granted, 0 to 2.
        max_inflight: Messages sent to one client that it has not acknowledged; more of them wait.
        max_queued_messages: Messages that wait for one client, connected or not; more push out the oldest.
        max_queued_bytes: The same in bytes of topics and payloads.
        max_unread_bytes: Bytes of answers that a client may leave unread, behind the transport's own buffer,
            before it is disconnected.
        max_unreleased: QoS 2 messages that a client has sent and not released; one more disconnects it.
        max_subscriptions: Topic filters of one session; more are refused with 0x80.
        max_retained_messages: Topics with a retained message; more are not retained.
        max_retained_bytes: The same in bytes of topics and payloads.
        max_client_ids: Client ids held at a time, by connected clients and by persistent sessions.
        max_client_ids_per_principal: The same for one authenticated user.
    """

    max_qos: int = 2
    max_inflight: int = 20
    max_queued_messages: int = 1_000
    max_queued_bytes: int = 4 * 1024 * 1024
    max_unread_bytes: int = 1024 * 1024
    max_unreleased: int = 2_048
    max_subscriptions: int = 10_000
    max_retained_messages: int = 100_000
    max_retained_bytes: int = 256 * 1024 * 1024
    max_client_ids: int = 100_000
    max_client_ids_per_principal: int = 50_000
