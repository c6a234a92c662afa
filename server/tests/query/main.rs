//! The search evaluated here, compared with others who know the syntax: the simulated tenant's own
//! search, and Lucene itself.

mod lucene;
mod queries;
mod tenant;

use std::cell::Cell;

use serde_json::{Value, json};
use simulated_tenant::generate;
use user_import_export::expression::{Expression, Json, Wanted, read};
use user_import_export::query::{Filter, Query};

const SEED: u64 = 20;

/// Generated users, and a few whose values are hard.
fn users(count: u64) -> Vec<Value> {
    let generated = (0..count).map(|index| {
        serde_json::from_str::<Value>(&generate::export_user(index, SEED)).expect("a generated user is JSON")
    });
    let hard = [
        json!({"user_id": "auth0|hard1", "name": "İstanbul ΣΑΣ straße", "nickname": "AND", "username": "or",
            "app_metadata": {"text": "a\"b\\c", "list": ["x", "y z", ["nested", {"deep": true}]], "n": [1, 2.5, -3, 1e21]},
            "user_metadata": {"ключ": "значение", "a b": {"c:d": ["e", null, {}]}, "bits": [true, false]}}),
        json!({"user_id": "auth0|hard2", "name": "𝔘𝔫𝔦 \u{ff5e}*?", "email": "A.B+c@Sub.EXAMPLE.org", "logins_count": 0,
            "app_metadata": {"empty": [], "none": {}, "nothing": null, "blank": "", "text": "10", "n": 10},
            "created_at": "2020-02-29T23:59:59.999Z", "updated_at": "2021-01-01T00:00:00.000Z"}),
        json!({"user_id": "auth0|hard3", "name": "-+!(){}[]^\"~*?:\\/&&||", "blocked": false, "logins_count": 10}),
    ];
    generated.chain(hard).collect()
}

fn filter(query: &str) -> Result<Filter, String> {
    Query::parse(query).and_then(|query| query.filter()).map_err(|error| error.to_string())
}

/// Users as an export reads them.
struct Rows {
    texts: Vec<String>,
    /// Read just what the filter looks at, as an export does, instead of whole users: so often.
    sparsely: usize,
    asked: Cell<usize>,
}

impl Rows {
    fn new(users: &[Value]) -> Self {
        Self { texts: users.iter().map(ToString::to_string).collect(), sparsely: 10, asked: Cell::new(0) }
    }

    /// The users, read whole once.
    fn whole(&self) -> Vec<Json<'_>> {
        let user = Expression::parse("user").expect("a path");
        let wanted = Wanted::new([user.path().expect("a path")]);
        self.texts.iter().map(|text| read(text.as_bytes(), &wanted).expect("a user")).collect()
    }

    /// The places of the users that a filter finds.
    fn found(&self, filter: &Filter, whole: &[Json<'_>]) -> Vec<usize> {
        let places = |matches: &dyn Fn(usize) -> bool| (0..whole.len()).filter(|at| matches(*at)).collect::<Vec<_>>();
        let found = places(&|at| filter.matches(&whole[at]));
        self.asked.set(self.asked.get() + 1);
        if self.asked.get().is_multiple_of(self.sparsely) {
            let wanted = filter.wanted(Wanted::default());
            let sparse = places(&|at| filter.matches(&read(self.texts[at].as_bytes(), &wanted).expect("a user")));
            assert_eq!(sparse, found, "less was read than the filter looks at");
        }
        found
    }
}
