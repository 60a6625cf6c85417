from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorlog.door.connect_packet import (
    CONNACK_NAMES,
    Connect,
    ConnectDecoder,
    ReturnCode,
    Will,
    connack,
    connack_for,
    connect_facts,
)
from doorlog.errors import (
    ClientIdRejected,
    ConnectError,
    ConnectFacts,
    ConnectTooLarge,
    MalformedConnect,
    NotMqtt,
    UnsupportedProtocolVersion,
)
from support.packets import (
    DISCONNECT,
    PINGREQ,
    PROXY_V2_SIGNATURE,
    connect,
    connect_v5,
    mqtt_bytes,
    packet,
    proxy_v1,
    publish,
    remaining_length,
    subscribe,
)

PROTOCOL = mqtt_bytes("MQTT") + b"\x04"


def decode(data: bytes, max_bytes: int = 65536) -> Connect:
    connect = ConnectDecoder(max_bytes).receive(data)
    assert connect is not None
    return connect


def refusal(data: bytes, max_bytes: int = 65536) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        ConnectDecoder(max_bytes).receive(data)
    return caught.value


def bytewise(data: bytes, max_bytes: int = 65536) -> tuple[ConnectError | None, int]:
    """Send one byte after the other; return the refusal and after how many bytes it came."""
    decoder = ConnectDecoder(max_bytes)
    for sent, byte in enumerate(data, 1):
        try:
            decoder.receive(bytes((byte,)))
        except ConnectError as error:
            return error, sent
    return None, len(data)


# the first bytes are not those of a CONNECT


@pytest.mark.parametrize(
    ("sent", "sentence", "after"),
    [
        (b"GET / HTTP/1.1\r\n", "the first bytes are an HTTP request, not an MQTT CONNECT", 4),
        (b"POST /mqtt HTTP/1.1\r\n", "the first bytes are an HTTP request, not an MQTT CONNECT", 5),
        (b"CONNECT broker:8883 HTTP/1.1\r\n", "the first bytes are an HTTP request, not an MQTT CONNECT", 8),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "the first bytes are an HTTP request, not an MQTT CONNECT", 14),
        (b"\x16\x03\x01\x02\x00\x01", "the first bytes are a TLS handshake, not an MQTT CONNECT", 2),
        (b"SSH-2.0-client\r\n", "the first bytes are an SSH client's greeting, not an MQTT CONNECT", 4),
        (proxy_v1(), "the first bytes are a PROXY protocol header, not an MQTT CONNECT", 6),
        (PROXY_V2_SIGNATURE + b"\x21", "the first bytes are a PROXY protocol header, not an MQTT CONNECT", 12),
        (publish(), "the first packet is PUBLISH, not CONNECT (MQTT 3.1.1, 3.1.0-1)", 1),
        (subscribe(), "the first packet is SUBSCRIBE, not CONNECT (MQTT 3.1.1, 3.1.0-1)", 1),
        (PINGREQ, "the first packet is PINGREQ, not CONNECT (MQTT 3.1.1, 3.1.0-1)", 1),
        (DISCONNECT, "the first packet is DISCONNECT, not CONNECT (MQTT 3.1.1, 3.1.0-1)", 1),
        (connack(0), "the first packet is CONNACK, not CONNECT (MQTT 3.1.1, 3.1.0-1)", 1),
        (b"\x50\x02\x00\x01", "the first packet is PUBREC, not CONNECT (MQTT 3.1.1, 3.1.0-1)", 2),
        (b"PUBREC?", "the first packet is PUBREC, not CONNECT (MQTT 3.1.1, 3.1.0-1)", 3),
        (b"GETTING", "the first byte 0x47 begins no MQTT packet", 4),
        (b"\x00\x00", "the first byte 0x00 begins no MQTT packet", 1),
        (b"\xff\xff", "the first byte 0xff begins no MQTT packet", 1),
        (b"\r\n\r\n\r\n", "the first byte 0x0d begins no MQTT packet", 5),
    ],
)
def test_what_is_no_connect_is_called_by_its_name_as_soon_as_it_can_be(sent: bytes, sentence: str, after: int) -> None:
    error, needed = bytewise(sent)

    assert isinstance(error, NotMqtt)
    assert str(error) == sentence
    assert needed == after
    assert error.connect is None
    assert str(refusal(sent)) == sentence


@pytest.mark.parametrize("first", [*range(0x11, 0x16), *range(0x17, 0x20)])
def test_a_connect_with_fixed_header_flags_is_malformed(first: int) -> None:
    error, needed = bytewise(bytes((first,)) + connect()[1:])

    assert isinstance(error, MalformedConnect)
    assert "2.2.2-2" in str(error)
    assert needed == 1


def test_0x16_is_a_bad_connect_when_it_is_not_tls() -> None:
    assert isinstance(refusal(b"\x16" + connect()[1:]), MalformedConnect)


# sizes


def test_a_connect_that_announces_too_much_is_refused_before_its_body() -> None:
    error, needed = bytewise(b"\x10" + remaining_length(65537) + b"\x00" * 100)

    assert isinstance(error, ConnectTooLarge)
    assert str(error) == "the CONNECT announces 65537 bytes, more than the 65536 that are accepted"
    assert needed == 4


def test_a_connect_may_be_as_large_as_the_limit_and_no_larger() -> None:
    sent = connect(password="x" * 100, user_name="u")
    size = len(sent) - 2

    assert decode(sent, max_bytes=size).user_name == "u"
    assert isinstance(refusal(sent, max_bytes=size - 1), ConnectTooLarge)


def test_a_remaining_length_of_five_bytes_is_malformed() -> None:
    error, needed = bytewise(b"\x10\x80\x80\x80\x80\x01")

    assert isinstance(error, MalformedConnect)
    assert "2.2.3" in str(error)
    assert needed == 5


@pytest.mark.parametrize("width", [2, 3, 4])
def test_a_padded_remaining_length_is_accepted(width: int) -> None:
    body = connect()[2:]
    assert decode(b"\x10" + remaining_length(len(body), width=width) + body).client_id == "pump-17"


def test_a_connect_that_never_ends_holds_no_more_than_the_limit() -> None:
    sent = connect(user_name="u", password="x" * (1000 - 24))
    decoder = ConnectDecoder(max_bytes=1000)

    assert len(sent) == 1003
    assert decoder.receive(sent[:-1]) is None
    assert decoder.received == 1002


def test_a_half_connect_that_announces_the_greatest_size_holds_only_what_came() -> None:
    half = (b"\x10" + remaining_length(65536) + connect(user_name="u")[2:-3])[:30]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    decoders = [ConnectDecoder() for _ in range(50)]
    for decoder in decoders:
        assert decoder.receive(half) is None
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert held / len(decoders) < 1000


def test_a_slow_sender_of_a_large_packet_costs_little_for_each_byte() -> None:
    """Each byte would be a decode of all before it if the decoder did not know how many bytes it needs."""
    decoder = ConnectDecoder()
    sent = connect("c" * 60_000, user_name="u")
    for byte in sent[:-1]:
        assert decoder.receive(bytes((byte,))) is None

    assert decoder.receive(sent[-1:]) is not None


# MQTT 3.1.1, 3.1: what makes a CONNECT malformed


@pytest.mark.parametrize(
    ("sent", "paragraph"),
    [
        (connect(protocol=("MQTS", 4)), "3.1.2-1"),
        (connect(protocol=("mqtt", 4)), "3.1.2-1"),
        (connect(protocol=("", 4)), "3.1.2-1"),
        (connect(protocol=("M" * 60_000, 4)), "3.1.2-1"),
        (connect(protocol=("MQIsdp", 4)), "3.1.2-1"),
        (connect(flags=0x03), "3.1.2-3"),
        (connect(flags=0x0A), "3.1.2-13"),
        (connect(flags=0x12), "3.1.2-13"),
        (connect(flags=0x22), "3.1.2-15"),
        (connect(flags=0x1A), "3.1.2-14"),
        (connect(will=("t", b"", 3, False)), "3.1.2-14"),
        (connect(password="secret"), "3.1.2-22"),
        (connect(will=("", b"gone", 0, False)), "4.7.3-1"),
        (connect(will=("pumps/#", b"gone", 0, False)), "4.7.1-1"),
        (connect(will=("pumps/+/state", b"gone", 0, False)), "4.7.1-1"),
        (connect(will=(b"\xff", b"gone", 0, False)), "1.5.3-1"),
        (connect(will=("a\0b", b"gone", 0, False)), "1.5.3-2"),
        (connect(b"pump-\xff"), "1.5.3-1"),
        (connect(b"\xc0\xaf"), "1.5.3-1"),
        (connect(b"\xed\xa0\x80"), "1.5.3-1"),
        (connect(b"\xf4\x90\x80\x80"), "1.5.3-1"),
        (connect("pump\0"), "1.5.3-2"),
        (connect(user_name=b"\x80"), "1.5.3-1"),
        (connect(user_name="u\0"), "1.5.3-2"),
        (connect(tail=b"\0"), "3.1.3"),
        (connect(user_name="u", password="p", tail=b"more"), "3.1.3"),
        (connect(flags=0x82), "3.1.3"),
        (connect(flags=0xC2), "3.1.3"),
        (connect(flags=0x06), "3.1.3"),
        (packet(0x10), "3.1.3"),
        (packet(0x10, b"\0"), "3.1.3"),
        (packet(0x10, PROTOCOL), "3.1.3"),
        (packet(0x10, PROTOCOL + b"\x02\x00"), "3.1.3"),
        (packet(0x10, PROTOCOL + b"\x02\x00\x3c"), "3.1.3"),
        (packet(0x10, PROTOCOL + b"\x02\x00\x3c\xff\xff" + b"pump"), "3.1.3"),
    ],
)
def test_a_connect_that_breaks_section_3_1_is_malformed(sent: bytes, paragraph: str) -> None:
    error = refusal(sent)

    assert isinstance(error, MalformedConnect)
    assert paragraph in str(error)


@pytest.mark.parametrize(
    "character", ["\n", "\x1b", "\x7f", "\x85", "\x9f", "\ufdd0", "\ufffe", "\uffff", "\U0010ffff"]
)
def test_control_characters_do_not_get_past_the_door(character: str) -> None:
    in_client_id = refusal(connect(f"pump{character}17", user_name="station"))
    in_user_name = refusal(connect(user_name=f"sta{character}tion"))

    assert isinstance(in_client_id, ClientIdRejected)
    assert in_client_id.connect is not None
    assert in_client_id.connect.user_name == "station"
    assert isinstance(in_user_name, MalformedConnect)


@pytest.mark.parametrize("text", ["größe", "泵-17", "\u00a0", "a b", "\ufeffbom", "🚰", "\u202e", "x" * 65_000])
def test_all_other_characters_do(text: str) -> None:
    served = decode(connect(text, user_name=text), max_bytes=268_435_455)

    assert served.client_id == text
    assert served.user_name == text


def test_a_lying_length_is_seen_at_once_and_not_after_a_deadline() -> None:
    body = connect(user_name="u", password="p")[2:]
    error, needed = bytewise(b"\x10" + remaining_length(len(body) + 3) + body)

    assert isinstance(error, MalformedConnect)
    assert str(error) == "the packet has 3 bytes behind its last field (MQTT 3.1.1, 3.1.3)"
    assert needed == len(body) + 2


def test_a_refusal_never_repeats_what_the_client_wrote() -> None:
    for sent in (connect("evil\n", user_name="evil"), connect(b"evil\xff"), connect(protocol=("evil", 4))):
        assert "evil" not in str(refusal(sent))


# the record names who it was, also when the CONNECT was refused


def test_a_malformed_connect_still_names_its_client() -> None:
    error = refusal(connect("pump-17", user_name="station", password="secret", clean_session=False, tail=b"?"))

    assert error.connect == ConnectFacts("MQTT", 4, False, 60, "pump-17", "station")
    assert "secret" not in repr(error.connect)


def test_a_client_id_that_is_no_utf8_is_named_readably() -> None:
    error = refusal(connect(b"pump-\xff17"))

    assert error.connect == ConnectFacts("MQTT", 4, True, 60, r"pump-\xff17")


@pytest.mark.parametrize("level", [4, 5])
def test_a_name_with_a_wrong_length_shows_nothing_of_the_password_behind_it(level: int) -> None:
    """An U+0000 is in no name: what follows it is the length of the next field, and that field."""
    properties = b"\0" if level == 5 else b""
    user_name = connect("pump", protocol=("MQTT", level), properties=properties, user_name=b"anna\0\x0awonderland")
    client_id = connect(b"pump\0\4anna\0\x0awonderland", protocol=("MQTT", level), properties=properties)

    for sent in (user_name, client_id):
        facts = connect_facts(sent, 1_000)
        assert facts is not None
        assert "wonder" not in repr(facts) + repr(refusal(sent).connect)
        assert facts.client_id == "pump"
    facts = connect_facts(user_name, 1_000)
    assert facts is not None
    assert facts.user_name == "anna"


def test_nor_of_a_long_one_whose_length_has_no_zero() -> None:
    token = b"wonderland" * 30
    sent = connect("pump", user_name=b"anna" + len(token).to_bytes(2) + token)
    facts = connect_facts(sent, 1_000)

    assert facts is not None
    assert (facts.client_id, facts.user_name) == ("pump", "anna")
    assert refusal(sent).connect == facts


def test_wrong_flags_are_judged_after_the_client_id_so_that_it_can_be_named() -> None:
    error = refusal(connect("pump-17", flags=0x01))

    assert error.connect is not None
    assert error.connect.client_id == "pump-17"


NAMED = ConnectFacts("MQTT", 4, clean_session=True, keep_alive=60, client_id="pump-17", user_name="anna")


def test_who_wrote_a_connect_that_is_not_to_be_served_is_read_without_its_password() -> None:
    packet = connect("pump-17", user_name="anna", password="wonderland")

    assert connect_facts(packet + b"\xc0\x00", 1_000) == NAMED
    assert "wonderland" not in repr(connect_facts(packet, 1_000))
    assert connect_facts(packet, 10) is None, "it announces more than is looked into"
    assert connect_facts(b"", 1_000) is None
    assert connect_facts(b"GET / HTTP/1.1", 1_000) is None


def test_of_a_connect_that_is_cut_what_is_there_is_read() -> None:
    packet = connect("pump-17", user_name="anna", password="wonderland")
    read = [connect_facts(packet[:size], 1_000) for size in range(len(packet) + 1)]

    assert read[0] is None
    assert [facts.client_id for facts in read if facts] == sorted(
        (facts.client_id for facts in read if facts), key=lambda name: name is not None
    ), "more bytes never tell less"
    assert read[-1] == NAMED


def test_a_broken_connect_names_its_client_as_far_as_it_can() -> None:
    facts = connect_facts(connect("pump\x01"), 1_000)

    assert facts is not None
    assert facts.client_id == "pump\x01"


def test_an_empty_client_id_needs_a_clean_session() -> None:
    assert decode(connect("", clean_session=True)).client_id == ""

    error = refusal(connect("", clean_session=False, user_name="station"))
    assert isinstance(error, ClientIdRejected)
    assert error.connect == ConnectFacts("MQTT", 4, False, 60, "", "station")


# other protocol versions


def test_mqtt_5_is_refused_by_name_with_client_id_and_user_name() -> None:
    sent = connect_v5("pump-17", user_name="station", password="secret", will=("t", b"gone", 1, False))
    error = refusal(sent)

    assert isinstance(error, UnsupportedProtocolVersion)
    assert str(error) == "the client speaks MQTT 5.0, protocol level 5; only MQTT 3.1.1, protocol level 4, is served"
    assert error.connect == ConnectFacts("MQTT", 5, True, 60, "pump-17", "station")


def test_mqtt_3_1_is_refused_by_name_with_client_id_and_user_name() -> None:
    error = refusal(connect("pump-17", user_name="station", protocol=("MQIsdp", 3)))

    assert isinstance(error, UnsupportedProtocolVersion)
    assert str(error) == "the client speaks MQTT 3.1, protocol level 3; only MQTT 3.1.1, protocol level 4, is served"
    assert error.connect == ConnectFacts("MQIsdp", 3, True, 60, "pump-17", "station")


def test_a_bridge_is_told_that_its_version_is_not_served_so_that_it_falls_back() -> None:
    error = refusal(connect("bridge", protocol=("MQTT", 0x84)))

    assert isinstance(error, UnsupportedProtocolVersion)
    assert "MQTT 3.1.1 as a bridge, protocol level 132" in str(error)
    assert error.connect is not None
    assert error.connect.client_id == "bridge"


@pytest.mark.parametrize("level", [0, 1, 2, 6, 127, 255])
def test_an_unheard_of_level_is_refused_without_reading_on(level: int) -> None:
    error, needed = bytewise(connect(protocol=("MQTT", level)))

    assert isinstance(error, UnsupportedProtocolVersion)
    assert f"protocol level {level};" in str(error)
    assert error.connect == ConnectFacts("MQTT", level)
    assert needed == 9


@pytest.mark.parametrize(
    ("sent", "facts"),
    [
        (connect(protocol=("MQTT", 5), properties=b"\xff\xff\xff\x7f"), ConnectFacts("MQTT", 5, True, 60)),
        (connect(protocol=("MQTT", 5), properties=b"\xff\xff\xff\xff\xff"), ConnectFacts("MQTT", 5, True, 60)),
        (packet(0x10, mqtt_bytes("MQTT") + b"\x05"), ConnectFacts("MQTT", 5)),
        (
            connect(protocol=("MQTT", 5), properties=b"\0", tail=b"???"),
            ConnectFacts("MQTT", 5, True, 60, "pump-17"),
        ),
        (
            connect(protocol=("MQTT", 5), properties=b"\x82\x00\x17\x01", password="only"),  # length in two bytes
            ConnectFacts("MQTT", 5, True, 60, "pump-17"),
        ),
    ],
)
def test_a_broken_packet_of_another_version_is_still_of_another_version(sent: bytes, facts: ConnectFacts) -> None:
    error = refusal(sent)

    assert isinstance(error, UnsupportedProtocolVersion)
    assert error.connect == facts


# a good CONNECT


def test_a_full_connect_is_decoded_field_by_field() -> None:
    sent = connect(
        "pump-17",
        user_name="station",
        password=b"\x00\xffsecret",
        will=("pumps/17/state", b"gone", 2, True),
        clean_session=False,
        keep_alive=65535,
    )

    assert decode(sent) == Connect(
        protocol_name="MQTT",
        protocol_level=4,
        clean_session=False,
        keep_alive=65535,
        client_id="pump-17",
        user_name="station",
        password=b"\x00\xffsecret",
        will=Will("pumps/17/state", b"gone", 2, True),
    )


def test_the_smallest_connect_has_neither_user_nor_will() -> None:
    served = decode(connect("", keep_alive=0))

    assert served == Connect("MQTT", 4, True, 0, "", None, None, None)


def test_empty_user_name_password_and_will_message_are_there_but_empty() -> None:
    served = decode(connect(user_name="", password="", will=("t", b"", 0, False)))

    assert (served.user_name, served.password, served.will) == ("", b"", Will("t", b"", 0, False))


def test_secrets_are_not_in_the_repr() -> None:
    text = repr(decode(connect(user_name="station", password="hunter2", will=("t", b"classified", 0, False))))

    assert "station" in text
    assert "hunter2" not in text
    assert "classified" not in text


def test_the_raw_packet_is_kept_for_replay_and_what_follows_is_handed_on() -> None:
    sent = connect(user_name="u", password="p")
    decoder = ConnectDecoder()

    assert decoder.receive(sent[:5]) is None
    assert decoder.received == 5
    assert decoder.receive(sent[5:] + subscribe() + PINGREQ) is not None
    assert decoder.packet == sent
    assert decoder.trailing == subscribe() + PINGREQ
    assert decoder.received == 0


def test_more_behind_the_connect_than_the_limit_is_handed_on_whole() -> None:
    sent, behind = connect(), b"\x00" * 10_000
    decoder = ConnectDecoder(max_bytes=100)

    assert decoder.receive(sent + behind) is not None
    assert decoder.trailing == behind


def test_no_bytes_change_nothing() -> None:
    decoder = ConnectDecoder()

    assert decoder.receive(b"") is None
    assert decoder.receive(connect()) is not None


# CONNACK


def test_connack_3_1_1() -> None:
    assert connack(0) == b"\x20\x02\x00\x00"
    assert connack(ReturnCode.ACCEPTED, session_present=True) == b"\x20\x02\x01\x00"
    assert connack(ReturnCode.NOT_AUTHORIZED) == b"\x20\x02\x00\x05"
    assert set(CONNACK_NAMES) == set(ReturnCode)
    assert CONNACK_NAMES[4] == "bad user name or password"


@pytest.mark.parametrize(("code", "reason"), [(0, 0x00), (1, 0x84), (2, 0x85), (3, 0x88), (4, 0x86), (5, 0x87)])
def test_a_client_of_mqtt_5_gets_an_answer_that_it_can_read(code: int, reason: int) -> None:
    assert connack_for(5, code) == bytes((0x20, 3, 0, reason, 0))


@pytest.mark.parametrize("level", [None, 3, 4, 6, 0x84])
def test_all_others_get_that_of_3_1_1(level: int | None) -> None:
    assert connack_for(level, 1) == b"\x20\x02\x00\x01"


def test_a_connack_that_does_not_exist_is_not_built() -> None:
    with pytest.raises(ValueError, match="code 6"):
        connack(6)
    with pytest.raises(ValueError, match="session present True"):
        connack(4, session_present=True)
    with pytest.raises(ValueError, match="code -1"):
        connack_for(5, -1)


# any bytes, any segmentation


def outcome(pieces: list[bytes], max_bytes: int) -> object:
    """What came of the pieces: the Connect with its bytes, the refusal in full, or None for "not yet"."""
    decoder = ConnectDecoder(max_bytes)
    for index, piece in enumerate(pieces):
        try:
            served = decoder.receive(piece)
        except ConnectError as error:
            return type(error), str(error), error.connect
        assert decoder.received <= max_bytes + 5
        if served is not None:
            return served, decoder.packet, decoder.trailing + b"".join(pieces[index + 1 :])
    return None


def is_topic(text: str) -> bool:
    return bool(text) and not {"+", "#"} & set(text)


text = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=20)
topics = text.filter(is_topic)
wills = st.tuples(topics, st.binary(max_size=20), st.integers(0, 2), st.booleans())
good_connects = st.builds(
    connect,
    text.filter(bool),
    user_name=text,
    password=st.none() | st.binary(max_size=20),
    will=st.none() | wills,
    clean_session=st.booleans(),
    keep_alive=st.integers(0, 65535),
    protocol=st.sampled_from([("MQTT", 4), ("MQTT", 4), ("MQIsdp", 3), ("MQTT", 5)]),
    properties=st.none() | st.just(b"\0"),
)
nearly_connects = st.tuples(good_connects, st.integers(0, 200), st.binary(max_size=3)).map(
    lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + len(parts[2]) :]
)
hostile = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=60).map(lambda body: packet(0x10, PROTOCOL + body)),
    st.binary(max_size=60).map(lambda body: packet(0x10, mqtt_bytes("MQTT") + b"\x05" + body)),
    st.sampled_from([b"GET / HTTP/1.1", b"POST", b"P", b"\x16\x03\x01", b"\r\n\r\n\0", PROXY_V2_SIGNATURE]),
    good_connects,
    nearly_connects,
)


@given(hostile, st.sampled_from([40, 65536]))
@example(connect(b"\xed\xa0\x80"), 65536)
def test_any_bytes_give_a_connect_a_documented_refusal_or_nothing_yet(data: bytes, max_bytes: int) -> None:
    outcome([data], max_bytes)


@given(hostile, st.lists(st.integers(0, 200), max_size=6), st.sampled_from([40, 65536]))
def test_segmentation_changes_nothing(data: bytes, cuts: list[int], max_bytes: int) -> None:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    assert outcome(pieces, max_bytes) == outcome([data], max_bytes)
    assert outcome([bytes((byte,)) for byte in data], max_bytes) == outcome([data], max_bytes)


@given(
    client_id=text.filter(bool),
    user_name=st.none() | text,
    password=st.none() | st.binary(max_size=40),
    will=st.none() | wills,
    clean_session=st.booleans(),
    keep_alive=st.integers(0, 65535),
    behind=st.binary(max_size=20),
)
def test_what_was_built_is_what_is_decoded(
    client_id: str,
    user_name: str | None,
    password: bytes | None,
    will: tuple[str, bytes, int, bool] | None,
    clean_session: bool,
    keep_alive: int,
    behind: bytes,
) -> None:
    password = None if user_name is None else password
    sent = connect(
        client_id,
        user_name=user_name,
        password=password,
        will=will,
        clean_session=clean_session,
        keep_alive=keep_alive,
    )
    decoder = ConnectDecoder()

    assert decoder.receive(sent + behind) == Connect(
        "MQTT", 4, clean_session, keep_alive, client_id, user_name, password, Will(*will) if will else None
    )
    assert (decoder.packet, decoder.trailing) == (sent, behind)
