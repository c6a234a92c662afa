// Runs Auth0's npm client against the simulated tenant: fails if the client cannot parse a response, or parses it
// differently from a real tenant's. Needs TENANT (host:port), AUTH0_CLIENT_ID and
// AUTH0_CLIENT_SECRET; `run` sets them.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

import { ManagementClient, ManagementError, Management } from "auth0";

const DATABASE = "Username-Password-Authentication";
const domain = process.env.TENANT;
const clientId = process.env.AUTH0_CLIENT_ID;
const clientSecret = process.env.AUTH0_CLIENT_SECRET;
const client = new ManagementClient({ domain, clientId, clientSecret });

// Unique addresses, so that several runs can use the same tenant.
const unique = `${process.pid}-${Date.now()}`;
const address = (name) => `node-${name}-${unique}@example.com`;

async function all(page) {
    const items = [];
    for await (const item of page) items.push(item);
    return items;
}

async function database(name = DATABASE) {
    const [connection] = await all(await client.connections.list({ name }));
    assert.equal(connection?.name, name);
    return connection.id;
}

function users(list) {
    return { data: Buffer.from(JSON.stringify(list)), filename: "users.json", contentType: "application/json" };
}

/** Polls a job until it ends. */
async function ended(id) {
    for (let tries = 0; tries < 600; tries++) {
        const job = await client.jobs.get(id);
        assert.equal(job.id, id);
        if (job.status === "completed" || job.status === "failed") return job;
        assert.ok(["pending", "processing"].includes(job.status), job.status);
        if (job.percentage_done !== undefined) {
            assert.ok(Number.isInteger(job.percentage_done) && job.percentage_done <= 100, String(job.percentage_done));
        }
        await sleep(100);
    }
    assert.fail(`job ${id} does not end`);
}

/** Imports users; retries while two other imports are active. */
async function imported(request) {
    const job = await client.jobs.usersImports.create({ send_completion_email: false, ...request }, { maxRetries: 5 });
    assert.match(job.id, /^job_[A-Za-z0-9]{16}$/);
    assert.equal(job.type, "users_import");
    assert.equal(job.connection_id, request.connection_id);
    assert.ok(!Number.isNaN(Date.parse(job.created_at)), job.created_at);
    return ended(job.id);
}

async function download(request) {
    const job = await client.jobs.usersExports.create(request);
    assert.equal(job.type, "users_export");
    assert.equal(job.format, request.format);
    const { status, location } = await ended(job.id);
    assert.equal(status, "completed");
    assert.match(new URL(location).pathname, new RegExp(`\\.${request.format}\\.gz$`));
    const answer = await fetch(location);
    assert.equal(answer.status, 200);
    return gunzipSync(Buffer.from(await answer.arrayBuffer())).toString("utf8");
}

async function refused(promise, kind, status, code) {
    await assert.rejects(promise, (error) => {
        assert.ok(error instanceof ManagementError, String(error));
        assert.ok(error instanceof kind, `${error.constructor.name} is no ${kind.name}`);
        assert.equal(error.statusCode, status);
        assert.equal(error.body.statusCode, status);
        assert.ok(error.body.error.length > 0 && error.body.message.length > 0);
        if (code) assert.equal(error.body.errorCode, code);
        return true;
    });
}

test("connections are listed page by page with checkpoints", async () => {
    const whole = await all(await client.connections.list({ take: 100 }));
    const paged = await all(await client.connections.list({ take: 4 }));
    assert.ok(whole.length > 8);
    assert.deepEqual(paged.map(({ id }) => id).sort(), whole.map(({ id }) => id).sort());
    for (const { id, name, strategy } of whole) {
        assert.match(id, /^con_[A-Za-z0-9]{16}$/);
        assert.ok(name && strategy);
    }
});

test("connections are filtered by strategy and restricted to fields", async () => {
    const databases = await all(await client.connections.list({ strategy: ["auth0"], fields: "id,name,strategy" }));
    assert.ok(databases.length > 1);
    for (const connection of databases) {
        assert.equal(connection.strategy, "auth0");
        assert.equal(connection.options, undefined);
    }
    const both = await all(await client.connections.list({ strategy: ["auth0", "google-oauth2"] }));
    assert.ok(both.length > databases.length);
});

test("a connection is read by id, and so are its applications", async () => {
    const id = await database();
    const connection = await client.connections.get(id, { fields: "name,options", include_fields: true });
    assert.equal(connection.name, DATABASE);
    assert.equal(typeof connection.options.import_mode, "boolean");
    assert.ok((await all(await client.connections.clients.get(id))).every(({ client_id }) => client_id));
    assert.ok((await all(await client.connections.clients.get(id))).length > 0);
    assert.deepEqual(await all(await client.connections.clients.get(await database("Disabled-Database"))), []);
    await refused(client.connections.get("con_0000000000000000"), Management.NotFoundError, 404);
});

test("users are listed with totals, sorted, and restricted to fields", async () => {
    const page = await client.users.list({
        q: `identities.connection:"${DATABASE}"`, search_engine: "v3", per_page: 25, sort: "created_at:-1",
        fields: "user_id,email,created_at", include_fields: true,
    });
    const { start, limit, length, total } = page.response;
    assert.deepEqual([start, limit, length], [0, 25, 25]);
    assert.ok(total > 25);
    const dates = page.data.map((user) => user.created_at);
    assert.deepEqual(dates, [...dates].sort().reverse());
    assert.deepEqual(Object.keys(page.data[0]).sort(), ["created_at", "email", "user_id"]);
    await page.getNextPage();
    assert.equal(page.response.start, 25);
    assert.ok(page.data.every((user) => !Number.isNaN(Date.parse(user.created_at))));
});

test("every page of a search together holds every match once", async () => {
    const q = "email_verified:false";
    const found = await all(await client.users.list({ q, search_engine: "v3", per_page: 10 }));
    const { total } = (await client.users.list({ q, search_engine: "v3", per_page: 10 })).response;
    assert.equal(found.length, total);
    assert.equal(new Set(found.map((user) => user.user_id)).size, total);
    assert.ok(found.every((user) => user.email_verified === false));
});

test("a search beyond the thousandth user, or with a broken query, is refused", async () => {
    await refused(client.users.list({ page: 10, per_page: 100, search_engine: "v3" }), Management.BadRequestError, 400);
    await refused(client.users.list({ q: "name:(", search_engine: "v3" }), Management.BadRequestError, 400);
});

test("a user is read by id and by e-mail address", async () => {
    const [listed] = (await client.users.list({ q: "_exists_:email", search_engine: "v3", per_page: 1 })).data;
    const user = await client.users.get(listed.user_id);
    assert.equal(user.user_id, listed.user_id);
    assert.equal(user.identities[0].connection.length > 0, true);
    const same = await client.users.listUsersByEmail({ email: user.email });
    assert.ok(same.some((other) => other.user_id === user.user_id));
    assert.deepEqual(await client.users.listUsersByEmail({ email: address("unknown") }), []);
    await refused(client.users.get("auth0|unknown"), Management.NotFoundError, 404, "inexistent_user");
});

test("an import with bad rows completes, and its errors can be read", async () => {
    const hash = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    const job = await imported({
        connection_id: await database(),
        external_id: `node ${unique}`,
        users: users([
            { email: address("good"), email_verified: true, app_metadata: { plan: "gold" } },
            { email: address("hashed"), password_hash: hash },
            { email: "not an address", password_hash: hash },
            { name: "without an address" },
        ]),
    });
    assert.equal(job.status, "completed");
    assert.deepEqual(
        { failed: job.summary.failed, updated: job.summary.updated, inserted: job.summary.inserted, total: job.summary.total },
        { failed: 2, updated: 0, inserted: 2, total: 4 },
    );
    const errors = await client.jobs.errors.get(job.id);
    assert.equal(errors.length, 2);
    for (const { user, errors: reasons } of errors) {
        assert.equal(typeof user, "object");
        assert.ok(reasons.length > 0);
        assert.ok(reasons.every(({ code, message }) => code.length > 0 && message.length > 0));
    }
    assert.ok(!JSON.stringify(errors).includes(hash), "secrets are hidden");
    const [good] = await client.users.listUsersByEmail({ email: address("good") });
    assert.equal(good.app_metadata.plan, "gold");
    assert.equal(good.email_verified, true);
    assert.match(good.user_id, /^auth0\|/);
});

test("an upsert updates, the same import without it is refused row by row", async () => {
    const connection_id = await database();
    const email = address("twice");
    const row = (name) => users([{ email, name }]);
    assert.equal((await imported({ connection_id, users: row("One") })).summary.inserted, 1);
    const again = await imported({ connection_id, users: row("Two") });
    assert.equal(again.summary.failed, 1);
    const [{ errors }] = await client.jobs.errors.get(again.id);
    assert.equal(errors[0].code, "DUPLICATED_USER");
    const upsert = await imported({ connection_id, upsert: true, users: row("Three") });
    assert.equal(upsert.summary.updated, 1);
    assert.equal((await client.users.listUsersByEmail({ email }))[0].name, "Three");
    assert.equal(await client.jobs.errors.get(upsert.id), undefined, "204: nothing to report");
});

test("imports that no job is made for are refused with their reason", async () => {
    const list = users([{ email: address("refused") }]);
    const into = (connection_id) => client.jobs.usersImports.create({ connection_id, users: list });
    await refused(into("wrong"), Management.BadRequestError, 400, "invalid_body");
    await refused(into("con_0000000000000000"), Management.BadRequestError, 400);
    await refused(into(await database("Disabled-Database")), Management.BadRequestError, 400, "connection_is_disabled");
    await refused(into(await database("google-oauth2")), Management.BadRequestError, 400, "operation_not_supported");
    const large = { data: Buffer.alloc(512_001, " "), filename: "users.json", contentType: "application/json" };
    const connection_id = await database();
    await refused(client.jobs.usersImports.create({ connection_id, users: large }), Management.ContentTooLargeError, 413);
});

test("an export as JSON holds one user a line under the names asked for", async () => {
    const connection_id = await database();
    const text = await download({
        connection_id,
        format: "json",
        fields: [{ name: "user_id" }, { name: "email", export_as: "E-mail" }, { name: "identities[0].connection", export_as: "connection" }, { name: "app_metadata" }],
    });
    const rows = text.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.ok(rows.length > 25);
    assert.equal(new Set(rows.map((row) => row.user_id)).size, rows.length);
    for (const row of rows) {
        assert.equal(row.connection, DATABASE);
        assert.ok(Object.keys(row).every((name) => ["user_id", "E-mail", "connection", "app_metadata"].includes(name)));
    }
});

test("an export as CSV has a header and as many rows as asked for", async () => {
    const text = await download({ format: "csv", limit: 7, fields: [{ name: "user_id", export_as: "Id" }, { name: "email_verified" }] });
    const [header, ...rows] = text.trimEnd().split(/\r?\n/);
    assert.deepEqual(header.split(",").map((title) => title.replaceAll('"', "")), ["Id", "email_verified"]);
    assert.equal(rows.length, 7);
});

test("exports that no job is made for are refused with their reason", async () => {
    const fields = Array.from({ length: 31 }, (_, n) => ({ name: `app_metadata.field${n}` }));
    await refused(client.jobs.usersExports.create({ format: "csv", fields }), Management.BadRequestError, 400);
    await refused(client.jobs.usersExports.create({ format: "csv", fields: [{ name: "app_metadata" }] }), Management.BadRequestError, 400);
    await refused(client.jobs.usersExports.create({ format: "json", connection_id: "con_0000000000000000" }), Management.BadRequestError, 400);
});

test("jobs that do not exist are not found, and invalid ids are refused", async () => {
    await refused(client.jobs.get("job_0000000000000000"), Management.NotFoundError, 404);
    await refused(client.jobs.errors.get("job_0000000000000000"), Management.NotFoundError, 404);
    await refused(client.jobs.get("none"), Management.BadRequestError, 400);
});

test("wrong tokens and wrong credentials are refused", async () => {
    await refused(new ManagementClient({ domain, token: "not.a.token" }).users.list(), Management.UnauthorizedError, 401);
    await assert.rejects(new ManagementClient({ domain, clientId, clientSecret: "wrong" }).users.list());
});
