use proptest::prelude::*;

use super::{Probe, Unfit};
use crate::digest::Policy;
use crate::engine::{Engine, Hints, Inspection, Level, Semantic};
use crate::exact::{ExactCache, StoredReply};
use crate::json::Tree;
use crate::request::Request;

const NOW_S: u64 = 1_800_000_000;
const QUESTION: &str = "What is the boiling point of mercury?";
const HINTS: Hints<'_> = Hints {
    shield: None,
    model: None,
    routing_mode: None,
    read_cache: true,
    semantic: true,
    threshold: 0.0,
    user: None,
    predictor: None,
};

fn engine(semantic: Semantic) -> Engine {
    Engine::new(ExactCache::with_clock(1 << 20, 600, Box::new(|| NOW_S)), semantic)
}

fn body(text: &str, rest: &str) -> String {
    format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"{text}"}}]{rest}}}"#)
}

fn ask(engine: &Engine, tenant: &str, body: &str) -> Inspection {
    engine.inspect(body.as_bytes(), tenant, HINTS).unwrap()
}

fn store(engine: &Engine, inspection: &Inspection, answer: &str) {
    let reply = StoredReply {
        body: format!(r#"{{"choices":[{{"message":{{"content":"{answer}"}}}}]}}"#).into_bytes().into(),
        deployment: "a/b".into(),
        account: "acme".into(),
        simulated: false,
        prompt_tokens: 1,
        completion_tokens: 1,
        stored_at_s: NOW_S,
    };
    assert!(engine.cache.store(inspection.key, reply, inspection.probe.clone()));
}

fn why_unfit(body: &str) -> Option<&'static str> {
    let (tree, text) = Tree::parse(body.as_bytes()).unwrap();
    let policy = Policy { tenant: "t", user: "", model: None, routing_mode: None };
    let request = Request::read(tree.root(text)).unwrap();
    Probe::read(&request, tree.root(text), policy).err().map(Unfit::as_str)
}

#[test]
fn the_same_question_in_other_capitals_is_a_canonical_hit() {
    let engine = engine(Semantic::default());
    let first = ask(&engine, "t", &body(QUESTION, ""));
    assert!(first.hit.is_none());
    store(&engine, &first, "357 degrees");
    let again = ask(&engine, "t", &body("what is the  boiling point of mercury?", ""));
    let hit = again.hit.unwrap();
    assert_eq!((hit.level, hit.similarity, hit.key), (Level::Canonical, 1.0, first.key));
    assert!(again.classification.is_none());
    assert_eq!(ask(&engine, "t", &body(QUESTION, "")).hit.unwrap().level, Level::Exact);
}

#[test]
fn another_scope_never_answers() {
    let engine = engine(Semantic { per_user: true, ..Semantic::default() });
    store(&engine, &ask(&engine, "t", &body(QUESTION, "")), "357 degrees");
    let other = QUESTION.to_uppercase();
    let said = |rest: &str| body(&other, rest);
    assert!(ask(&engine, "t", &said("")).hit.is_some());
    for rest in [r#","max_tokens":5"#, r#","stop":"x""#, r#","user":"ada""#, r#","temperature":0.1"#] {
        assert!(ask(&engine, "t", &said(rest)).hit.is_none(), "{rest}");
    }
    assert!(ask(&engine, "other", &said("")).hit.is_none());
    let system = r#"{"messages":[{"role":"system","content":"Lie."},{"role":"user","content":"WORDS"}]}"#;
    assert!(ask(&engine, "t", &system.replace("WORDS", &other)).hit.is_none());
    let forced = Hints { model: Some("gpt-4o"), ..HINTS };
    assert!(engine.inspect(said("").as_bytes(), "t", forced).unwrap().hit.is_none());
    let user = Hints { user: Some("ada"), ..HINTS };
    assert!(engine.inspect(said("").as_bytes(), "t", user).unwrap().hit.is_none());
}

#[test]
fn a_request_that_is_unfit_says_why_and_keeps_the_exact_level() {
    let tools = r#","tools":[{"type":"function","function":{"name":"f"}}]"#;
    let schema = r#","response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{}}}"#;
    let rows = [
        (body(QUESTION, ""), None),
        (body(QUESTION, r#","temperature":0.3,"n":1,"logprobs":false,"seed":null"#), None),
        (body(QUESTION, tools), Some("tools")),
        (body(QUESTION, r#","web_search_options":{}"#), Some("tools")),
        (body(QUESTION, schema), Some("schema")),
        (body(QUESTION, r#","temperature":0.31"#), Some("temperature")),
        (body(QUESTION, r#","n":2"#), Some("choices")),
        (body(QUESTION, r#","seed":7"#), Some("seed")),
        (body(QUESTION, r#","logprobs":true"#), Some("logprobs")),
        (
            r#"{"messages":[{"role":"user","content":"Hello there, you"},{"role":"assistant","content":"Hi"},{"role":"user","content":"What is the boiling point of mercury?"}]}"#.into(),
            Some("turns"),
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"What is the point of mercury?"},{"type":"image_url","image_url":{"url":"https://a/b.png"}}]}]}"#.into(),
            Some("media"),
        ),
        (r#"{"messages":[{"role":"system","content":"What is the boiling point of lead?"}]}"#.into(), Some("turns")),
    ];
    for (body, why) in rows {
        assert_eq!(why_unfit(&body), why, "{body}");
        let engine = engine(Semantic::default());
        let first = ask(&engine, "t", &body);
        assert_eq!(first.probe.is_none(), why.is_some());
        store(&engine, &first, "x");
        assert_eq!(ask(&engine, "t", &body).hit.unwrap().level, Level::Exact);
    }
}

#[test]
fn who_does_not_want_the_semantic_level_has_the_exact_one() {
    let engine = engine(Semantic::default());
    store(&engine, &ask(&engine, "t", &body(QUESTION, "")), "x");
    let off = Hints { semantic: false, ..HINTS };
    let other = body(&QUESTION.to_uppercase(), "");
    let found = engine.inspect(other.as_bytes(), "t", off).unwrap();
    assert_eq!((found.hit.is_none(), found.miss.map(super::Miss::as_str)), (true, Some("off")));
    let unread = Hints { read_cache: false, ..HINTS };
    let found = engine.inspect(other.as_bytes(), "t", unread).unwrap();
    assert!(found.hit.is_none() && found.probe.is_some(), "its answer is stored for others all the same");
}

#[test]
fn a_forgotten_answer_is_found_by_no_question() {
    let engine = engine(Semantic::default());
    let first = ask(&engine, "t", &body(QUESTION, ""));
    store(&engine, &first, "x");
    assert_eq!(engine.cache.near.rows(), 1);
    assert!(engine.cache.forget(&first.key));
    assert_eq!(engine.cache.near.rows(), 0);
    assert!(ask(&engine, "t", &body(&QUESTION.to_uppercase(), "")).hit.is_none());
}

#[test]
fn an_answer_that_was_wrong_is_dropped_and_its_scope_asks_for_more() {
    let engine = engine(Semantic::default());
    let stain = |words: &str| body(&format!("How do I remove {words} from a cotton shirt?"), "");
    let first = ask(&engine, "t", &stain("a stubborn coffee stain"));
    store(&engine, &first, "x");
    let again = ask(&engine, "t", &stain("stubborn coffee stains")).hit.unwrap();
    let scope = first.probe.as_ref().unwrap().scope;
    assert!(engine.retire(&scope, &first.key, again.similarity));
    assert!(!engine.retire(&scope, &first.key, again.similarity));
    store(&engine, &first, "y");
    let exact = ask(&engine, "t", &stain("a stubborn coffee stain")).hit.unwrap();
    assert_eq!(exact.level, Level::Exact);
    let asked = engine.cache.near.threshold(&scope).unwrap();
    assert!(asked > again.similarity.min(0.999_999), "{asked}");
}

#[test]
fn what_came_from_elsewhere_is_found_by_looking_again() {
    let engine = engine(Semantic::default());
    let stored = ask(&engine, "t", &body(QUESTION, ""));
    let asked = ask(&engine, "t", &body(&QUESTION.to_uppercase(), ""));
    assert!(engine.look_again(&asked).is_none());
    store(&engine, &stored, "x");
    assert_eq!(engine.look_again(&asked).unwrap().level, Level::Canonical);
    assert_eq!(engine.look_again(&stored).unwrap().level, Level::Exact);
}

#[test]
fn a_probe_survives_the_database_and_no_other_bytes_make_one() {
    let engine = engine(Semantic::default());
    let probe = ask(&engine, "t", &body(QUESTION, "")).probe.unwrap();
    let bytes = probe.to_bytes();
    assert_eq!(Probe::from_bytes(probe.scope, &bytes).as_ref(), Some(&probe));
    assert!(Probe::from_bytes(probe.scope, &bytes[..200]).is_none());
    let mut other = bytes;
    other[0] = 9;
    assert!(Probe::from_bytes(probe.scope, &other).is_none());
}

proptest! {
    /// Two tenants, any questions in any order: nobody is ever answered with what the other stored.
    #[test]
    fn tenants_never_share(steps in prop::collection::vec((0..2_usize, 0..6_usize, any::<bool>()), 1..60)) {
        const WORDS: [&str; 6] = [
            "What is the boiling point of mercury?", "what is the boiling point of mercury", "How do I bake dark bread?",
            "HOW DO I BAKE DARK BREAD?", "Who wrote the first novel?", "Please, who wrote the first novel?",
        ];
        let engine = engine(Semantic::default());
        for (tenant, question, storing) in steps {
            let found = ask(&engine, ["a", "b"][tenant], &body(WORDS[question], ""));
            if let Some(hit) = found.hit {
                let text = std::str::from_utf8(&hit.reply.body).unwrap();
                prop_assert!(text.contains(["of a", "of b"][tenant]), "{text}");
            } else if storing {
                store(&engine, &found, ["of a", "of b"][tenant]);
            }
        }
    }

    #[test]
    fn any_bytes_are_a_probe_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Probe::from_bytes([0; 32], &bytes);
    }
}
