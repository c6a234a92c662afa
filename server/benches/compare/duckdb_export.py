"""The twelve columns of the benchmark with DuckDB: duckdb_export.py FROM TO THREADS [FORMAT [SORT]].

Written as its manual says for speed: NDJSON with the columns named, so that nothing is detected and
nothing else is read.
"""

import sys

import duckdb

source, target, threads = sys.argv[1:4]
form = sys.argv[4] if len(sys.argv) > 4 else "csv"
sort = sys.argv[5] if len(sys.argv) > 5 else None
order = {
    None: "",
    "created_at descending": "order by created_at desc nulls last",
    "email": "order by email asc nulls last",
    "tenth": "where email like '%@yahoo.com' or email like '%@proton.me'",
}[sort]
columns = """
    user_id as "Id", given_name as "Given Name", family_name as "Family Name", nickname as "Nickname",
    name as "Name", email as "Email", email_verified as "Email Verified", picture as "Picture",
    identities[1].connection as "Connection", created_at as "Created At", updated_at as "Updated At",
    coalesce(nullif(app_metadata.name, ''), name) as "Full Name"
"""
read = f"""read_json('{source}', format='newline_delimited',
    compression='{"gzip" if source.endswith(".gz") else "none"}', columns={{
    user_id: 'VARCHAR', given_name: 'VARCHAR', family_name: 'VARCHAR', nickname: 'VARCHAR', name: 'VARCHAR',
    email: 'VARCHAR', email_verified: 'BOOLEAN', picture: 'VARCHAR', identities: 'STRUCT(connection VARCHAR)[]',
    created_at: 'VARCHAR', updated_at: 'VARCHAR', app_metadata: 'STRUCT(name VARCHAR)'}})"""
options = {"csv": "format csv, header", "json": "format json, array true", "ndjson": "format json"}[form]
connection = duckdb.connect()
connection.execute(f"set threads = {int(threads)}")
connection.execute("set preserve_insertion_order = true")
connection.execute(f"copy (select {columns} from {read} {order}) to '{target}' ({options})")
