"""Runs Auth0's Python client against the simulated tenant: fails if the client cannot parse a response, or parses it
differently from a real tenant's. Needs TENANT (host:port), AUTH0_CLIENT_ID and
AUTH0_CLIENT_SECRET; `run` sets them."""

import csv
import gzip
import io
import json
import os
import re
import ssl
import time
import unittest
import urllib.request
from datetime import datetime

from auth0.management import ManagementClient
from auth0.management.errors import (
    BadRequestError,
    ContentTooLargeError,
    NotFoundError,
    UnauthorizedError,
)
from auth0.management.types import CreateExportUsersFields as Field
from auth0.management.types import GetJobResponseContent

DATABASE = "Username-Password-Authentication"
DOMAIN = os.environ["TENANT"]
CLIENT_ID = os.environ["AUTH0_CLIENT_ID"]
CLIENT_SECRET = os.environ["AUTH0_CLIENT_SECRET"]
HASH = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"

client = ManagementClient(domain=DOMAIN, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)

# Unique addresses, so that several runs can use the same tenant.
UNIQUE = f"{os.getpid()}-{time.time_ns()}"


def address(name):
    return f"python-{name}-{UNIQUE}@example.com"


def database(name=DATABASE):
    [connection] = list(client.connections.list(name=name))
    assert connection.name == name, connection.name
    return connection.id


def users(rows):
    return ("users.json", json.dumps(rows).encode(), "application/json")


class OfficialClient(unittest.TestCase):
    def ended(self, job_id):
        """Polls a job until it ends."""
        for _ in range(600):
            job = client.jobs.get(job_id)
            self.assertIsInstance(job, GetJobResponseContent)
            self.assertEqual(job.id, job_id)
            if job.status in ("completed", "failed"):
                return job
            self.assertIn(job.status, ("pending", "processing"))
            time.sleep(0.1)
        self.fail(f"job {job_id} does not end")

    def imported(self, rows, connection_id, **options):
        job = client.jobs.users_imports.create(
            users=users(rows), connection_id=connection_id, send_completion_email=False, **options
        )
        self.assertRegex(job.id, r"^job_[A-Za-z0-9]{16}$")
        self.assertEqual((job.type, job.connection_id), ("users_import", connection_id))
        return self.ended(job.id)

    def download(self, **request):
        job = client.jobs.users_exports.create(**request)
        self.assertEqual((job.type, job.format), ("users_export", request["format"]))
        ended = self.ended(job.id)
        self.assertEqual(ended.status, "completed")
        self.assertRegex(ended.location, rf"^https://.*\.{request['format']}\.gz(\?|$)")
        context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        with urllib.request.urlopen(ended.location, context=context) as answer:
            return gzip.decompress(answer.read()).decode()

    def refused(self, kind, code, call, *arguments, **options):
        with self.assertRaises(kind) as caught:
            call(*arguments, **options)
        body = caught.exception.body
        self.assertEqual(body["statusCode"], caught.exception.status_code)
        self.assertTrue(body["error"] and body["message"])
        if code:
            self.assertEqual(body["errorCode"], code)

    def test_connections_are_listed_page_by_page_with_checkpoints(self):
        whole = list(client.connections.list(take=100))
        paged = list(client.connections.list(take=4))
        self.assertGreater(len(whole), 8)
        self.assertEqual({each.id for each in paged}, {each.id for each in whole})
        self.assertEqual(len(paged), len(whole))
        for connection in whole:
            self.assertRegex(connection.id, r"^con_[A-Za-z0-9]{16}$")

    def test_connections_are_filtered_by_strategy(self):
        databases = list(client.connections.list(strategy="auth0", fields="id,name,strategy"))
        self.assertEqual({each.strategy for each in databases}, {"auth0"})
        self.assertTrue(all(each.options is None for each in databases))
        both = list(client.connections.list(strategy=["auth0", "google-oauth2"]))
        self.assertGreater(len(both), len(databases))

    def test_a_connection_is_read_by_id_and_so_are_its_applications(self):
        connection = client.connections.get(database())
        self.assertEqual((connection.name, connection.strategy), (DATABASE, "auth0"))
        self.assertTrue(list(client.connections.clients.get(connection.id)))
        self.assertEqual(list(client.connections.clients.get(database("Disabled-Database"))), [])
        self.refused(NotFoundError, None, client.connections.get, "con_0000000000000000")

    def test_users_are_listed_with_totals_and_sorted(self):
        page = client.users.list(
            q=f'identities.connection:"{DATABASE}"', search_engine="v3", per_page=25, sort="created_at:-1"
        )
        self.assertEqual((page.response.start, page.response.limit, page.response.length), (0, 25, 25))
        self.assertGreater(page.response.total, 25)
        dates = [user.created_at for user in page.items]
        self.assertEqual(dates, sorted(dates, reverse=True))
        self.assertEqual(page.next_page().response.start, 25)
        for user in page.items:
            self.assertIsInstance(user.created_at, datetime)
            self.assertEqual(user.identities[0].connection, DATABASE)

    def test_every_page_of_a_search_together_holds_every_match_once(self):
        first = client.users.list(q="email_verified:false", search_engine="v3", per_page=10)
        found = list(first)
        self.assertEqual(len(found), first.response.total)
        self.assertEqual(len({user.user_id for user in found}), len(found))
        self.assertEqual({user.email_verified for user in found}, {False})

    def test_a_search_beyond_the_thousandth_user_or_with_a_broken_query_is_refused(self):
        self.refused(BadRequestError, None, client.users.list, page=10, per_page=100, search_engine="v3")
        self.refused(BadRequestError, None, client.users.list, q="name:(", search_engine="v3")

    def test_a_user_is_read_by_id_and_by_email_address(self):
        [listed] = client.users.list(q="_exists_:email", search_engine="v3", per_page=1).items
        user = client.users.get(listed.user_id)
        self.assertEqual((user.user_id, user.email), (listed.user_id, listed.email))
        same = client.users.list_users_by_email(email=user.email)
        self.assertIn(user.user_id, {other.user_id for other in same})
        self.assertEqual(client.users.list_users_by_email(email=address("unknown")), [])
        self.refused(NotFoundError, "inexistent_user", client.users.get, "auth0|unknown")

    def test_an_import_with_bad_rows_completes_and_its_errors_can_be_read(self):
        rows = [
            {"email": address("good"), "email_verified": True, "user_metadata": {"colour": "red"}},
            {"email": address("hashed"), "password_hash": HASH},
            {"email": "not an address", "password_hash": HASH},
            {"name": "without an address"},
        ]
        job = self.imported(rows, database(), external_id=f"python {UNIQUE}")
        summary = job.summary
        self.assertEqual(job.status, "completed")
        self.assertEqual((summary.failed, summary.updated, summary.inserted, summary.total), (2, 0, 2, 4))
        errors = client.jobs.errors.get(job.id)
        self.assertEqual(len(errors), 2)
        for entry in errors:
            self.assertTrue(entry.errors)
            self.assertTrue(all(reason.code and reason.message for reason in entry.errors))
        self.assertNotIn(HASH, repr(errors), "secrets are hidden")
        [good] = client.users.list_users_by_email(email=address("good"))
        self.assertEqual(good.user_metadata["colour"], "red")
        self.assertTrue(good.email_verified and good.user_id.startswith("auth0|"))

    def test_an_upsert_updates_and_the_same_import_without_it_is_refused_row_by_row(self):
        connection, email = database(), address("twice")
        self.assertEqual(self.imported([{"email": email, "name": "One"}], connection).summary.inserted, 1)
        again = self.imported([{"email": email, "name": "Two"}], connection)
        self.assertEqual(again.summary.failed, 1)
        self.assertEqual(client.jobs.errors.get(again.id)[0].errors[0].code, "DUPLICATED_USER")
        upsert = self.imported([{"email": email, "name": "Three"}], connection, upsert=True)
        self.assertEqual(upsert.summary.updated, 1)
        self.assertEqual(client.users.list_users_by_email(email=email)[0].name, "Three")
        self.assertIsNone(client.jobs.errors.get(upsert.id), "204: nothing to report")

    def test_imports_that_no_job_is_made_for_are_refused_with_their_reason(self):
        create, rows = client.jobs.users_imports.create, users([{"email": address("refused")}])
        disabled, social = database("Disabled-Database"), database("google-oauth2")
        self.refused(BadRequestError, "invalid_body", create, users=rows, connection_id="wrong")
        self.refused(BadRequestError, None, create, users=rows, connection_id="con_0000000000000000")
        self.refused(BadRequestError, "connection_is_disabled", create, users=rows, connection_id=disabled)
        self.refused(BadRequestError, "operation_not_supported", create, users=rows, connection_id=social)
        large = ("users.json", b" " * 512_001, "application/json")
        self.refused(ContentTooLargeError, None, create, users=large, connection_id=database())

    def test_an_export_as_json_holds_one_user_a_line_under_the_names_asked_for(self):
        fields = [
            Field(name="user_id"),
            Field(name="email", export_as="E-mail"),
            Field(name="identities[0].connection", export_as="connection"),
        ]
        text = self.download(format="json", connection_id=database(), fields=fields)
        rows = [json.loads(line) for line in text.splitlines()]
        self.assertGreater(len(rows), 25)
        self.assertEqual(len({row["user_id"] for row in rows}), len(rows))
        for row in rows:
            self.assertEqual(row["connection"], DATABASE)
            self.assertLessEqual(row.keys(), {"user_id", "E-mail", "connection"})

    def test_an_export_as_csv_is_csv(self):
        fields = [Field(name="user_id", export_as="Id"), Field(name="name"), Field(name="created_at")]
        rows = list(csv.reader(io.StringIO(self.download(format="csv", limit=7, fields=fields))))
        self.assertEqual(rows[0], ["Id", "name", "created_at"])
        self.assertEqual([len(row) for row in rows], [3] * 8)
        for _, name, date in rows[1:]:
            self.assertTrue(name == "" or name.startswith("'"), name)
            self.assertTrue(re.match(r"\d{4}-\d\d-\d\dT", date), date)

    def test_exports_that_no_job_is_made_for_are_refused_with_their_reason(self):
        create = client.jobs.users_exports.create
        many = [Field(name=f"app_metadata.field{number}") for number in range(31)]
        self.refused(BadRequestError, None, create, format="csv", fields=many)
        self.refused(BadRequestError, None, create, format="csv", fields=[Field(name="app_metadata")])
        self.refused(BadRequestError, None, create, format="json", connection_id="con_0000000000000000")

    def test_jobs_that_do_not_exist_are_not_found_and_invalid_ids_are_refused(self):
        self.refused(NotFoundError, None, client.jobs.get, "job_0000000000000000")
        self.refused(NotFoundError, None, client.jobs.errors.get, "job_0000000000000000")
        self.refused(BadRequestError, None, client.jobs.get, "none")

    def test_wrong_tokens_and_wrong_credentials_are_refused(self):
        forged = ManagementClient(domain=DOMAIN, token="not.a.token")
        self.refused(UnauthorizedError, None, forged.users.list)
        wrong = ManagementClient(domain=DOMAIN, client_id=CLIENT_ID, client_secret="wrong")
        with self.assertRaisesRegex(Exception, "401|403"):
            wrong.users.list()


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    raise SystemExit(failed > 0 or result.testsRun == 0)
