"""What every gateway does that is easy to miss: the simulated one in each of its releases, and a real one if there is one.

All of it was seen on real gateways of v1.4.19 and v1.5.16 but for what only later releases do.
"""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.contract.bifrost_gateway import Gateway, Json, budget, limits, message, unique, values
from tests.contract.bifrost_schema import CONFIGS, validate_error
from tests.simulators.bifrost.process import BifrostSimulator


@pytest.fixture
def gateway(each_gateway: Gateway) -> Gateway:
    return each_gateway


def tell_length(gateway: Gateway, duration: str) -> str:
    """Return what a release says of a duration that it can read but that is no time at all."""
    if gateway.release.wants_positive:
        return f"Invalid reset duration (must be a positive duration): {duration}"
    return f"Failed to create model config: reset duration must be > 0: {duration}"


def test_an_empty_list_is_null_from_generation_2_on(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    bifrost.seed([])

    whole = gateway.send("GET").json()
    found = gateway.send("GET", params={"search": unique()}).json()

    # A real gateway may have rows that are not ours.
    empty: list[Json] | None = None if gateway.generation > 1 else []
    assert whole["model_configs"] == empty or whole["count"] > 0
    assert found["model_configs"] == []


@pytest.mark.parametrize("path", ["/none", "/api/none", f"{CONFIGS}/a/b", f"/gateway{CONFIGS}", f"/API{CONFIGS[4:]}"])
def test_every_unknown_path_shows_the_dashboard_with_success(gateway: Gateway, path: str) -> None:
    answered = gateway.client.get(path)

    assert (answered.status_code, answered.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answered.text.lower().startswith("<!doctype html>")


def test_a_file_that_is_not_there_is_not_found_in_plain_text(gateway: Gateway) -> None:
    answered = gateway.client.get("/v1.0")

    assert (answered.status_code, answered.headers["content-type"]) == (404, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", CONFIGS), ("PATCH", f"{CONFIGS}/any"), ("PUT", CONFIGS), ("POST", "/api/none"), ("HEAD", "/api/none")],
)
def test_another_method_is_refused_in_plain_text(gateway: Gateway, method: str, path: str) -> None:
    answered = gateway.client.request(method, path)

    assert (answered.status_code, answered.headers["content-type"]) == (405, "text/plain; charset=utf-8")
    assert answered.text in {"Method Not Allowed", ""}


def test_a_slash_at_the_end_is_sent_elsewhere(gateway: Gateway) -> None:
    moved = gateway.client.get(f"{CONFIGS}/")
    assert (moved.status_code, moved.headers["location"].endswith(CONFIGS)) == (301, True)

    assert gateway.client.put(f"{CONFIGS}/any/", json={}).status_code == 308

    unknown = gateway.client.put(f"{CONFIGS}/", json={})
    assert unknown.status_code == 404
    validate_error(404, unknown.json())


def test_a_list_is_in_the_order_of_the_ids_from_generation_2_on(gateway: Gateway) -> None:
    for _ in range(6):
        gateway.create()

    found = [item["id"] for item in gateway.items()]

    if gateway.generation > 1:
        assert found == sorted(found)


def test_a_page_has_the_oldest_first_in_generation_1_and_the_newest_after_it(gateway: Gateway) -> None:
    name = unique("list")
    made = [gateway.create(model_name=f"{name}-{number}", provider="openai")["id"] for number in range(3)]
    if gateway.generation > 1:
        made.reverse()

    found = gateway.items(search=name)

    if not gateway.release.pages:
        assert found == gateway.items()
        return
    assert [item["id"] for item in found] == made
    assert [item["id"] for item in gateway.items(search=name, limit=2)] == made[:2]
    assert [item["id"] for item in gateway.items(search=name, limit=2, offset=2)] == made[2:]
    assert gateway.send("GET", params={"limit": "many"}).status_code == 400
    assert gateway.send("GET", params={"offset": "-1"}).status_code == 400


def test_pages_can_be_of_a_scope_and_a_provider_from_generation_2_on(gateway: Gateway) -> None:
    name = unique("list")
    made = [
        gateway.create(model_name=f"{name}-{provider}", provider=provider)["id"] for provider in ("openai", "azure")
    ]

    def found(**query: str) -> list[str]:
        return sorted(item["id"] for item in gateway.items(search=name, **query) if item["id"] in made)

    assert found() == sorted(made)
    narrowed = gateway.generation > 1
    assert found(provider="azure") == (made[1:] if narrowed else sorted(made))
    assert found(scope="virtual_key") == ([] if narrowed else sorted(made))


def test_every_list_tells_its_page_from_v1_4_13_on(gateway: Gateway) -> None:
    gateway.create()

    body = gateway.send("GET").json()

    told = {name: body[name] for name in ("total_count", "limit", "offset") if name in body}
    count = body["count"]
    assert told == ({"total_count": count, "limit": count, "offset": 0} if gateway.release.pages else {})


def test_a_search_knows_the_wildcards_of_the_database(gateway: Gateway) -> None:
    name = unique("list")
    made = {gateway.create(model_name=f"{name}-{end}")["id"] for end in ("a", "b")}

    for wild in (f"{name}__", f"{name}%", name.upper()):
        assert {item["id"] for item in gateway.items(search=wild)} >= made


def test_items_have_the_ids_of_what_they_own(gateway: Gateway) -> None:
    made = gateway.create(**gateway.budgets(budget(5, "1d")), rate_limit=limits(5))
    (own,) = gateway.budgets_of(made)

    assert made["rate_limit_id"] == made["rate_limit"]["id"]
    assert made.get("budget_id") == (own["id"] if gateway.generation == 1 else None)
    assert own.get("model_config_id") == (None if gateway.generation == 1 else made["id"])
    bare = gateway.create()
    assert not bare.keys() & {"rate_limit_id", "budget_id"}


def test_what_is_made_through_the_api_has_an_empty_hash(gateway: Gateway) -> None:
    made = gateway.create(**gateway.budgets(budget(5, "1d")), rate_limit=limits(5))

    assert [one["config_hash"] for one in (made, made["rate_limit"], *gateway.budgets_of(made))] == ["", "", ""]


def test_calendar_aligned_stands_on_the_budget_then_nowhere_then_on_the_row(gateway: Gateway) -> None:
    made = gateway.create(**gateway.budgets(budget(5, "1d")))

    on_budget = {one.get("calendar_aligned") for one in gateway.budgets_of(made)}
    assert on_budget == ({False} if gateway.release.aligns_budgets else {None})
    assert made.get("calendar_aligned") == (None if gateway.generation == 1 else False)


def test_errors_tell_of_routing_from_v1_5_12_on(gateway: Gateway) -> None:
    told = gateway.send("GET", "none").json()

    assert told["extra_fields"] == ({"routing_info": {}} if gateway.release.routing_info else {})
    assert told["error"] == {"message": "Model config not found"}


@pytest.mark.parametrize("word", ["daily", "Weekly", "monthly", "yearly"])
def test_words_for_durations_are_refused(gateway: Gateway, word: str) -> None:
    refused = gateway.send("POST", json={"model_name": unique(), **gateway.budgets(budget(5, word))})

    assert refused.status_code == 400
    positive = " (must be a positive duration)" if gateway.release.wants_positive else " format"
    assert message(refused) == f"Invalid reset duration{positive}: {word}"
    # Of a rate limit only the transaction finds it.
    late = gateway.send("POST", json={"model_name": unique(), "rate_limit": limits(tokens=5, duration=word)})
    assert late.status_code in gateway.invalid
    assert message(late) == f"Failed to create model config: invalid rate limit token reset duration{positive}: {word}"


@pytest.mark.parametrize("duration", ["0s", "-1h", "0d", "0", "293Y"])
def test_a_duration_of_nothing_is_found_late_up_to_a_release(gateway: Gateway, duration: str) -> None:
    """293Y are more nanoseconds than 64 bits hold, so that it is a negative duration to the gateway."""
    refused = gateway.send("POST", json={"model_name": unique(), **gateway.budgets(budget(5, duration))})

    assert refused.status_code == (400 if gateway.release.wants_positive else 500)
    assert message(refused) == tell_length(gateway, duration)


def test_the_longest_duration_is_292_years(gateway: Gateway) -> None:
    assert gateway.budgets_of(gateway.create(**gateway.budgets(budget(5, "292Y"))))[0]["reset_duration"] == "292Y"


def test_a_quarter_is_a_duration_of_budgets_from_v1_6_10_on(gateway: Gateway) -> None:
    quarter = {**budget(5, "1Q"), "reset_config": {"quarter_start_month": 4}}

    answered = gateway.send("POST", json={"model_name": unique(), **gateway.budgets(quarter)})
    in_rate_limit = gateway.send("POST", json={"model_name": unique(), "rate_limit": limits(5, duration="1Q")})

    assert in_rate_limit.status_code in gateway.invalid
    if not gateway.release.quarters:
        assert answered.status_code == 400
        return
    made = answered.json()["model_config"]
    assert values(gateway.budgets_of(made)[0]) == quarter
    kept = gateway.update(made["id"], **gateway.budgets(budget(6, "1Q")))
    assert gateway.budgets_of(kept)[0]["reset_config"] == {"quarter_start_month": 4}
    wrong = gateway.budgets(quarter | {"reset_config": {"quarter_start_month": 13}})
    assert gateway.send("POST", json={"model_name": unique(), **wrong}).status_code == 400


def test_the_scope_of_a_user_is_unknown_to_the_open_source_gateway(gateway: Gateway) -> None:
    body = {"model_name": unique(), "scope": "user", "scope_id": "anybody"}
    if gateway.generation == 1:
        assert "scope" not in gateway.create(**body)
        return

    refused = gateway.send("POST", json=body)

    assert (refused.status_code, message(refused)) == (400, 'Invalid scope "user"')


def test_a_conflict_tells_the_identity(gateway: Gateway) -> None:
    name = unique()
    told = []
    for provider in ({}, {"provider": "openai"}):
        gateway.create(model_name=name, **provider)
        refused = gateway.send("POST", json={"model_name": name, **provider})
        assert refused.status_code == 409
        told.append(message(refused))

    of_provider = f"Model config for model '{name}' with provider 'openai'"
    if gateway.generation > 1:
        of_provider += " (global)"
    assert told == [f"Model config for model '{name}' (global) already exists", f"{of_provider} already exists"]


def test_a_row_is_renamed_onto_another_one_from_generation_2_on(gateway: Gateway) -> None:
    """Where a part of the identity is null, the database's index protects nothing: two rows are of one identity then."""
    first, second = (gateway.create(provider="openai") for _ in range(2))

    answered = gateway.send("PUT", second["id"], json={"model_name": first["model_name"]})

    if gateway.generation > 1:
        assert answered.status_code == 200
        same = [item for item in gateway.items() if item["model_name"] == first["model_name"]]
        assert {item["id"] for item in same} == {first["id"], second["id"]}
        return
    assert answered.status_code == 500
    clash = "a record with this provider already exists. Please use a different value"
    assert message(answered) == f"Failed to update model config: {clash}"


def test_of_equal_posts_at_once_one_is_taken(gateway: Gateway) -> None:
    body = {"model_name": unique(), "provider": "openai"}

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: gateway.send("POST", json=body).status_code, range(8)))

    assert sorted(statuses) == [200, *[409] * 7]


def test_a_name_in_other_letters_or_with_blanks_is_another_row(gateway: Gateway) -> None:
    name = unique()

    made = {gateway.create(model_name=one, provider="openai")["id"] for one in (name, name.upper(), f" {name} ")}

    assert len(made) == 3


def test_names_of_fields_match_in_any_case(gateway: Gateway) -> None:
    name = unique()
    field = "Budget" if gateway.generation == 1 else "Budgets"
    one = {"MAX_LIMIT": 5, "Reset_Duration": "1d"}

    made = gateway.create(Model_Name=name, model_name=name, **{field: one if gateway.generation == 1 else [one]})

    assert (made["model_name"], values(gateway.budgets_of(made)[0])) == (name, budget(5, "1d"))


def test_a_byte_order_mark_is_refused(gateway: Gateway) -> None:
    refused = gateway.send("POST", content=b'\xef\xbb\xbf{"model_name": "m"}')

    assert (refused.status_code, message(refused)) == (400, "Invalid JSON")


def test_what_is_read_from_memory_is_stale_after_a_change_of_the_name(gateway: Gateway) -> None:
    old, new = unique(), unique()
    made = gateway.create(model_name=old, provider="openai")
    gateway.update(made["id"], model_name=new)

    names = {item["model_name"] for item in gateway.items(from_memory="true") if item["id"] == made["id"]}

    assert old in names
    assert gateway.item(made["id"])["model_name"] == new


def test_budgets_are_listed_in_the_order_in_which_they_were_made(gateway: Gateway) -> None:
    if gateway.generation == 1:
        assert gateway.budgets_of(gateway.create(budgets=[budget(5, "1d")])) == []
        return
    made = gateway.create(budgets=[budget(5, "1w"), budget(1, "1d")])

    changed = gateway.update(made["id"], budgets=[budget(9, "1M"), budget(1, "1d"), budget(5, "1w")])

    assert [one["reset_duration"] for one in changed["budgets"]] == ["1w", "1d", "1M"]


WORDING: list[tuple[Json, str, str]] = [
    (budget(5, "zz"), "invalid reset duration format: zz", "invalid reset duration (must be a positive duration): zz"),
    (budget(5, "-1d"), "reset duration must be > 0: -1d", "invalid reset duration (must be a positive duration): -1d"),
    (budget(0, "1d"), ZERO := "budget max limit cannot be negative or zero: 0.00", ZERO),
]


@pytest.mark.parametrize(("one", "text", "later"), WORDING)
def test_a_bad_budget_is_told_in_these_words(gateway: Gateway, one: Json, text: str, later: str) -> None:
    made = gateway.create()

    refused = gateway.send("PUT", made["id"], json=gateway.budgets(one))

    assert refused.status_code in gateway.invalid
    told = later if gateway.release.wants_positive else text
    assert message(refused) == f"Failed to update model config: {told}"


@pytest.mark.parametrize(
    ("rate_limit", "text"),
    [
        ({**limits(requests=5), "token_reset_duration": "zz"}, "invalid token reset duration format: zz"),
        ({**limits(requests=5), "token_reset_duration": "0s"}, "token reset duration cannot be zero or negative: 0s"),
        ({"token_max_limit": 5}, "rate limit token reset duration is required"),
        (limits(tokens=0), "rate limit token max limit cannot be negative or zero: 0"),
    ],
)
def test_a_bad_rate_limit_is_told_in_these_words(gateway: Gateway, rate_limit: Json, text: str) -> None:
    refused = gateway.send("PUT", gateway.create()["id"], json={"rate_limit": rate_limit})

    assert refused.status_code in gateway.invalid
    assert message(refused) == f"Failed to update model config: {text}"


def test_a_negative_budget_is_told_by_what_is_done_with_it(gateway: Gateway) -> None:
    made = gateway.create(**gateway.budgets(budget(5, "1d")))

    refused = gateway.send("PUT", made["id"], json=gateway.budgets(budget(-1, "1d")))

    assert refused.status_code in gateway.invalid
    text = "budget max_limit cannot be negative: -1.00"
    if gateway.generation == 1:
        text = "budget max limit cannot be negative or zero: -1.00"
    assert message(refused) == f"Failed to update model config: {text}"


def test_an_unknown_answer_is_no_error_of_the_gateway(gateway: Gateway) -> None:
    """The dashboard is HTML, so that a client which takes every 200 for JSON breaks."""
    answered: httpx.Response = gateway.client.get(f"/gateway{CONFIGS}")

    with pytest.raises(ValueError, match=r"JSON|Expecting"):
        answered.json()
