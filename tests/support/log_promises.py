"""The promises of the log, each in one line with the test that proves it; docs/log.md shows them."""

from __future__ import annotations

from typing import Final

PROMISES: Final[tuple[tuple[str, str], ...]] = (
    (
        "accepted sockets = `connect` records + those that floods count + those that gaps declare lost",
        "test_log_writer.py::test_the_numbers_add_up_when_there_was_no_room",
    ),
    (
        "`best_effort` never waits; what does not fit is one `audit_gap` with its first and last sequence",
        "test_log_backlog.py::test_what_does_not_fit_is_one_gap_in_its_place",
    ),
    (
        "`durable`: on disk within 500 ms",
        "test_log_scribe.py::test_lines_are_on_disk_within_half_a_second",
    ),
    (
        "`durable`: under pressure, fewer connections are accepted before a record is lost",
        "test_log_writer.py::test_a_log_that_has_too_much_to_write_slows_the_door_down_or_loses_and_says_so",
    ),
    (
        "`strict`: no CONNACK and no refusal before its record is on disk",
        "test_door_protocol.py::test_a_device_is_admitted_once_its_record_is_on_disk",
    ),
    (
        "`strict`: when the disk fails (EIO, read-only, full), nobody is admitted",
        "test_flow_log_disk.py::test_strict_lets_no_verdict_out_without_its_record",
    ),
    (
        "a full disk costs no record that fits into memory, and is said once",
        "test_flow_log_disk.py::test_a_full_disk_keeps_nobody_out_and_loses_nothing_that_fits_into_memory",
    ),
    (
        "`on_error: refuse` admits nobody until the disk is free again",
        "test_flow_log_disk.py::test_a_broker_that_is_to_refuse_admits_nobody_until_the_disk_is_free_again",
    ),
    (
        "`on_error: stop` stops the broker and says why",
        "test_flow_log_disk.py::test_a_broker_that_is_to_stop_stops_and_says_why",
    ),
    (
        "after kill -9: no torn line, the chain and the sequence go on, and a record says so",
        "test_flow_log_crash.py::test_a_broker_that_is_killed_under_load_leaves_a_whole_log",
    ),
    (
        "rotation under load loses nothing",
        "test_flow_log_rotation.py::test_rotation_while_records_come_as_fast_as_they_can_loses_nothing",
    ),
    (
        "logrotate may rename the file and send SIGHUP",
        "test_flow_log_crash.py::test_logrotate_may_rename_the_file_and_send_sighup",
    ),
    (
        "a file that another program cuts is said with the remedy",
        "test_flow_log_crash.py::test_a_file_that_is_truncated_is_said_with_the_remedy",
    ),
    (
        "a storm is counted exactly, and its first failures have their records",
        "test_log_flood.py::test_what_passes_and_what_is_counted_are_all_that_was_offered",
    ),
    (
        "a name that is hidden stands nowhere in a record",
        "test_log_privacy.py::test_no_hidden_name_survives_anywhere",
    ),
    (
        "no password or token in any output",
        "test_flow_secrets.py::test_no_secret_is_in_any_output_of_a_broker",
    ),
    (
        "a sink that is slow or dead delays neither the file nor the door",
        "test_flow_syslog.py::test_a_receiver_that_never_reads_delays_nobody",
    ),
    (
        "a sink with `buffer: file` gets every record, over outages and restarts of the broker",
        "test_log_file_courier.py::test_what_waits_when_the_sink_is_gone_is_brought_after_the_next_start",
    ),
)
