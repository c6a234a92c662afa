//! Compares our evaluation of queries with two other implementations: the search of the simulated tenant, and Lucene.

mod lucene;
mod queries;
mod tenant;

use std::cell::Cell;

use serde_json::{Value, json};
use simulated_tenant::generate;
use uie_expression::Expression;
use uie_json::{Json, ProjectionMask, parse_row};
use uie_query::{Filter, Query};

const SEED: u64 = 20;

/// Generated users, and a few with unusual values.
fn users(count: u64) -> Vec<Value> {
    let generated = (0..count).map(|index| {
        serde_json::from_str::<Value>(&generate::export_user(index, SEED)).expect("a generated user is JSON")
    });
    let unusual = [
        json!({"user_id": "auth0|hard1", "name": "İstanbul ΣΑΣ straße", "nickname": "AND", "username": "or",
            "app_metadata": {"text": "a\"b\\c", "list": ["x", "y z", ["nested", {"deep": true}]], "n": [1, 2.5, -3, 1e21]},
            "user_metadata": {"ключ": "значение", "a b": {"c:d": ["e", null, {}]}, "bits": [true, false]}}),
        json!({"user_id": "auth0|hard2", "name": "𝔘𝔫𝔦 \u{ff5e}*?", "email": "A.B+c@Sub.EXAMPLE.org", "logins_count": 0,
            "app_metadata": {"empty": [], "none": {}, "nothing": null, "blank": "", "text": "10", "n": 10},
            "created_at": "2020-02-29T23:59:59.999Z", "updated_at": "2021-01-01T00:00:00.000Z"}),
        json!({"user_id": "auth0|hard3", "name": "-+!(){}[]^\"~*?:\\/&&||", "blocked": false, "logins_count": 10}),
    ];
    generated.chain(unusual).collect()
}

fn filter(query: &str) -> Result<Filter, String> {
    Query::parse(query).and_then(|query| query.filter()).map_err(|error| error.to_string())
}

/// Users as an export reads them.
struct Rows {
    texts: Vec<String>,
    /// Every this many filters, also read only the fields that the filter compares, as an export does.
    sparse_interval: usize,
    /// The number of evaluated filters.
    evaluated: Cell<usize>,
}

impl Rows {
    fn new(users: &[Value]) -> Self {
        Self { texts: users.iter().map(ToString::to_string).collect(), sparse_interval: 10, evaluated: Cell::new(0) }
    }

    /// Reads the users completely.
    fn whole(&self) -> Vec<Json<'_>> {
        let user = Expression::parse("user").expect("a path");
        let wanted = ProjectionMask::new([user.path().expect("a path")]);
        self.texts.iter().map(|text| parse_row(text.as_bytes(), &wanted).expect("a user")).collect()
    }

    /// Returns the indexes of the users that match a filter.
    fn matching(&self, filter: &Filter, whole: &[Json<'_>]) -> Vec<usize> {
        let indexes = |matches: &dyn Fn(usize) -> bool| (0..whole.len()).filter(|at| matches(*at)).collect::<Vec<_>>();
        let found = indexes(&|at| filter.matches(&whole[at]));
        self.evaluated.set(self.evaluated.get() + 1);
        if self.evaluated.get().is_multiple_of(self.sparse_interval) {
            let wanted = filter.extend_mask(ProjectionMask::default());
            let sparse = indexes(&|at| filter.matches(&parse_row(self.texts[at].as_bytes(), &wanted).expect("a user")));
            assert_eq!(sparse, found, "the mask lacks a field that the filter compares");
        }
        found
    }
}
