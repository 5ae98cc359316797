"""Signing in and out at a real gateway of two workers: who gets in, for how long, how often one may try."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from live_gateway import LiveGateway, running_gateway
from signed_in import HERE, PASSWORD, Person, alert_of, browser, invited, new_person, sign_in

LONG = "another long password"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """Two workers, behind a proxy that tells whom it speaks for."""
    config = 'local: {enabled: "off"}\nserver: {workers: 2}\ndashboard: {trust_forwarded: true, hosts: [nr.example]}'
    with running_gateway(tmp_path_factory.mktemp("crowd"), config=config) as running:
        yield running


def from_address(gateway: LiveGateway, address: str, **headers: str) -> httpx.Client:
    client = browser(gateway)
    client.headers.update({"x-forwarded-for": address, **headers})
    return client


def is_in(client: httpx.Client) -> bool:
    return client.get("/settings.json").status_code == 200


def until_out(client: httpx.Client) -> float:
    """How long a session lasts from now on, in seconds; two at most."""
    begun_s = time.monotonic()
    streak = 0
    while streak < 8:  # both workers are to have said so
        assert time.monotonic() < begun_s + 2.5
        streak = 0 if is_in(client) else streak + 1
    return time.monotonic() - begun_s


def test_a_person_signs_in_looks_around_and_signs_out(crowd: LiveGateway):
    email = new_person(crowd).email
    with browser(crowd) as client:
        assert 'name="password"' in client.get("/login").text
        answer = sign_in(client, f" {email.upper()} ", next="/settings?x=1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/settings?x=1")
        assert is_in(client)
        assert client.get("/login?next=/settings").headers["location"] == "/settings"
        cookie = client.cookies["nr_session"]
        answer = client.post("/logout")
        assert answer.headers["location"] == "/login?done=/logout"
        assert "nr_session" not in client.cookies
        client.cookies.set("nr_session", cookie)
        assert until_out(client) < 2


@pytest.mark.parametrize("to", ["https://evil.test", "//evil.test", "/\\evil.test", "/a\nb", "javascript:x"])
def test_signing_in_leads_to_a_page_of_ours_only(crowd: LiveGateway, to: str):
    email = new_person(crowd).email
    with browser(crowd) as client:
        assert sign_in(client, email, next=to).headers["location"] == "/"


def test_a_cookie_is_out_of_the_reach_of_scripts_and_of_other_sites(crowd: LiveGateway):
    email = new_person(crowd).email
    with browser(crowd) as client:
        plain = sign_in(client, email).headers["set-cookie"]
        assert re.fullmatch(r"nr_session=[\w-]{43}; HttpOnly; Max-Age=604800; Path=/; SameSite=strict", plain)
        assert client.cookies["nr_session"]
    with browser(crowd) as client:
        client.headers["x-forwarded-proto"] = "https"
        secure = sign_in(client, email).headers["set-cookie"]
        assert secure.startswith("__Host-nr_session=")
        assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(secure.split("; "))
        assert "domain" not in secure.lower()


def test_over_https_only_the_cookie_that_nobody_else_can_set_counts(crowd: LiveGateway):
    email = new_person(crowd).email
    with browser(crowd) as client:
        sign_in(client, email)
        assert is_in(client)
        client.headers["x-forwarded-proto"] = "https"
        assert not is_in(client)


def test_every_sign_in_has_a_session_of_its_own_and_the_one_before_it_ends(crowd: LiveGateway):
    email = new_person(crowd).email
    with browser(crowd) as client:
        sign_in(client, email)
        first = client.cookies["nr_session"]
        sign_in(client, email)
        assert client.cookies["nr_session"] != first
        client.cookies.set("nr_session", first)
        assert until_out(client) < 2


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD.upper(), f"{PASSWORD} ", "x" * 5_000])
def test_a_wrong_password_looks_the_same_as_an_unknown_address(crowd: LiveGateway, password: str):
    email = new_person(crowd).email
    texts: set[str] = set()
    with browser(crowd) as client:
        for name in (email, "nobody@example.com"):
            answer = sign_in(client, name, password)
            assert answer.status_code == 401
            assert "set-cookie" not in answer.headers
            texts.add(answer.text.replace(name, "NAME"))
    assert len(texts) == 1


def test_a_person_may_fail_ten_times_over_all_workers_and_a_success_forgets_that(crowd: LiveGateway):
    email = new_person(crowd).email
    clients = [from_address(crowd, f"198.51.100.{number}") for number in range(12)]
    assert [sign_in(client, email, "wrong").status_code for client in clients[:5]] == [401] * 5
    assert sign_in(clients[5], email).status_code == 303
    with ThreadPoolExecutor(12) as at_once:
        codes = list(at_once.map(lambda client: sign_in(client, email, "wrong").status_code, clients))
    assert (codes.count(401), codes.count(429)) == (10, 2)
    answer = sign_in(clients[0], email)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 900
    assert "15 min" in alert_of(answer)


def test_one_address_may_fail_thirty_times(crowd: LiveGateway):
    with from_address(crowd, "203.0.113.9") as client:
        codes = [sign_in(client, f"n{number}@example.com", "wrong").status_code for number in range(32)]
    assert codes == [401] * 30 + [429] * 2
    email = new_person(crowd).email
    with from_address(crowd, "1.2.3.4, 203.0.113.9") as client:  # what a client says itself counts for nothing
        assert sign_in(client, email).status_code == 429
    with from_address(crowd, "203.0.113.9, 1.2.3.4") as client:
        assert sign_in(client, email).status_code == 303


def test_a_link_lets_in_once_and_looking_at_it_does_not_use_it_up(crowd: LiveGateway):
    user, link = invited(crowd)
    with browser(crowd) as client:
        for _ in range(3):
            assert user.email in client.get(link).text
        answer = client.post(link, data={"password": ""})
        assert "choose a password" in alert_of(answer)
        answer = client.post(link, data={"password": "too short"})
        assert "12 to 1024" in alert_of(answer)
        assert client.post(link, data={"password": LONG}).status_code == 303
        assert is_in(client)
        assert client.get(link).status_code == 404
        assert client.post(link, data={"password": PASSWORD}).status_code == 404
    with browser(crowd) as client:
        assert sign_in(client, user.email, LONG).status_code == 303


def test_of_many_who_use_a_link_at_once_one_gets_in(crowd: LiveGateway):
    _, link = invited(crowd)
    clients = [browser(crowd) for _ in range(6)]
    with ThreadPoolExecutor(6) as at_once:
        codes = list(at_once.map(lambda client: client.post(link, data={"password": LONG}).status_code, clients))
    assert sorted(codes) == [303] + [404] * 5
    assert sum(is_in(client) for client in clients) == 1


def test_a_new_password_ends_every_session_and_takes_the_old_one_to_set(crowd: LiveGateway):
    person = new_person(crowd)
    with browser(crowd) as other:
        sign_in(other, person.email)
        wrong = person.client.post("/settings/password", data={"password": "wrong", "new": LONG})
        assert "not your password" in alert_of(wrong)
        answer = person.client.post("/settings/password", data={"password": PASSWORD, "new": LONG})
        assert answer.headers["location"].startswith("/login?")
        assert "Sign in with the new one" in person.client.get(answer.headers["location"]).text
        assert until_out(other) < 2
        assert until_out(person.client) < 2
        assert sign_in(other, person.email).status_code == 401
        assert sign_in(other, person.email, LONG).status_code == 303


def test_an_owner_ends_the_sessions_of_whom_it_changes(crowd: LiveGateway):
    owner = new_person(crowd)
    for path, fields in (("role", {"role": "billing"}), ("sign-out", {}), ("disable", {})):
        changed = new_person(crowd, "viewer")
        assert is_in(changed.client)
        answer = owner.client.post(f"/settings/users/{path}", data={"user": changed.user_id, **fields})
        assert answer.status_code == 303
        assert until_out(changed.client) < 2
        with browser(crowd) as client:
            assert sign_in(client, changed.email).status_code == (401 if path == "disable" else 303)


def test_one_ends_a_session_of_ones_own_and_of_nobody_else(crowd: LiveGateway):
    person, stranger = new_person(crowd), new_person(crowd)
    with browser(crowd) as other:
        sign_in(other, person.email)
        [session] = [one for one in person.client.get("/settings.json").json()["sessions"] if not one["current"]]
        answer = stranger.client.post("/settings/sessions/end", data={"session": session["id"]})
        assert answer.status_code == 404
        assert is_in(other)
        assert person.client.post("/settings/sessions/end", data={"session": session["id"]}).status_code == 303
        assert until_out(other) < 2
        assert is_in(person.client)


def test_an_owner_invites_somebody_who_chooses_a_password(crowd: LiveGateway):
    owner = new_person(crowd)
    email = f"new.{owner.email}"
    page = owner.client.post("/settings/users/invite", data={"email": email, "role": "member"})
    link = re.search(r'href="(/login/link/[\w-]{43})"', page.text)
    assert link is not None
    again = owner.client.post("/settings/users/invite", data={"email": email, "role": "member"})
    assert again.status_code == 409
    with browser(crowd) as client:
        assert client.post(link[1], data={"password": LONG}).status_code == 303
        assert client.get("/settings.json").json()["user"] | {"id": ""} == {
            "id": "", "name": email, "account": "default", "role": "member",
        }  # fmt: skip


@pytest.mark.parametrize("deed", ["role", "disable", "enable", "link", "sign-out"])
def test_a_user_of_another_account_is_like_none_that_there_is(crowd: LiveGateway, deed: str):
    owner, stranger = new_person(crowd), new_person(crowd, account_id="zebra")
    texts = {
        owner.client.post(f"/settings/users/{deed}", data={"user": user, "role": "viewer"}).text
        for user in (stranger.user_id, "user_nobody")
    }
    assert len(texts) == 1
    assert "no such user" in texts.pop()
    assert is_in(stranger.client)
    assert stranger.email not in owner.client.get("/settings").text


def test_a_name_that_is_listed_is_answered_and_takes_passwords_over_https_only(crowd: LiveGateway):
    email = new_person(crowd).email
    with browser(crowd) as client:
        client.headers["host"] = "nr.example"
        assert client.get("/login").status_code == 403
        assert "plain http" in client.get("/login").text
        client.headers["x-forwarded-proto"] = "https"
        assert sign_in(client, email).status_code == 303


def test_a_page_of_the_same_name_over_https_may_sign_in_without_fetch_metadata(crowd: LiveGateway):
    email = new_person(crowd).email
    with browser(crowd) as client:
        del client.headers["sec-fetch-site"]
        client.headers["origin"] = crowd.url
        assert sign_in(client, email).status_code == 303
        client.headers["origin"] = "http://127.0.0.1:1"
        assert sign_in(client, email).status_code == 403
        del client.headers["origin"]
        assert sign_in(client, email).status_code == 403


def test_a_form_that_is_too_large_or_no_form_is_refused(crowd: LiveGateway):
    with browser(crowd) as client:
        assert client.post("/login", data={"email": "x" * 70_000}).status_code == 413
        assert client.post("/login", json={"email": "x"}).status_code == 422
        assert client.post("/login", content=b"email=a&email=b", headers=FORM).status_code == 422
        assert client.post("/login", content=b"email=%ff&password=%00", headers=FORM).status_code == 401


FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_no_password_link_or_cookie_is_in_the_log_or_the_database(crowd: LiveGateway):
    person: Person = new_person(crowd)
    _, link = invited(crowd)
    with browser(crowd) as client:
        sign_in(client, person.email, "a wrong one, and long")
        client.post(link, data={"password": LONG})
    secrets = [PASSWORD, "a wrong one, and long", LONG, link.rpartition("/")[2], person.client.cookies["nr_session"]]
    kept = crowd.log.read_bytes() + b"".join(path.read_bytes() for path in crowd.data_dir.glob("neuralrouting.db*"))
    assert person.email.encode() in kept
    assert [secret for secret in secrets if secret.encode() in kept] == []
    assert person.email not in crowd.log.read_text()


def test_signing_in_works_for_a_browser_that_says_nothing_of_itself(crowd: LiveGateway):
    email = new_person(crowd).email
    with httpx.Client(base_url=crowd.url, headers=HERE | {"user-agent": ""}, trust_env=False) as client:
        assert sign_in(client, email).status_code == 303
        [*_, last] = client.get("/settings.json").json()["sessions"]
        assert last["address"] == "127.0.0.1"
