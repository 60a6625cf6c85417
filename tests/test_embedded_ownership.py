"""Whose a client id is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from doorlog.embedded.ownership import ClientIdOwnership


def test_held_id_is_refused_to_everybody_else() -> None:
    ownership = ClientIdOwnership()
    assert ownership.claim("pump-1", "alice")
    for other in ("mallory", "None", "", None):
        assert not ownership.claim("pump-1", other)
        ownership.release("pump-1", other)
    assert ownership.holds("pump-1", "alice")


def test_nobody_in_particular_holds_an_id_like_anybody() -> None:
    ownership = ClientIdOwnership()
    assert ownership.claim("pump-1", None)
    assert not ownership.claim("pump-1", "alice")
    assert ownership.claim("pump-1", None)


def test_id_is_free_when_each_claim_is_released() -> None:
    ownership = ClientIdOwnership()
    assert ownership.claim("pump-1", "alice")
    assert ownership.claim("pump-1", "alice")
    ownership.release("pump-1", "alice")
    assert not ownership.claim("pump-1", "bob")
    ownership.release("pump-1", "alice")
    ownership.release("pump-1", "alice")
    assert ownership.claim("pump-1", "bob")


def test_one_user_can_not_use_up_all_ids() -> None:
    ownership = ClientIdOwnership(limit=3, limit_per_principal=2)
    assert [ownership.claim(f"m-{number}", "mallory") for number in range(3)] == [True, True, False]
    assert ownership.claim("m-0", "mallory")
    assert ownership.claim("pump-1", "alice")
    assert not ownership.claim("pump-2", "bob")
    assert len(ownership) == 3


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.sampled_from(["alice", "bob", None]))))
def test_an_id_never_has_two_holders(steps: list[tuple[bool, str, str | None]]) -> None:
    ownership = ClientIdOwnership(limit=2, limit_per_principal=1)
    claims: list[tuple[str, str | None]] = []
    for is_claim, client_id, principal in steps:
        if is_claim:
            if ownership.claim(client_id, principal):
                claims.append((client_id, principal))
        else:
            ownership.release(client_id, principal)
            if (client_id, principal) in claims:
                claims.remove((client_id, principal))
        assert len({held for held, _ in claims}) == len(set(claims)) == len(ownership)
        assert all(ownership.holds(*claim) for claim in claims)
