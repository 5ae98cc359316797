use crate::digest::Key;
use crate::engine::{Engine, Hints, Semantic};
use crate::exact::{ExactCache, StoredReply};

const SYSTEM: &str = r#"{"role":"system","content":"Be brief."}"#;
const ASKED: &str = r#"{"role":"user","content":"Which tea calms?"}"#;
const SAID: &str = r#"{"role":"assistant","content":"Camomile."}"#;
const MORE: &str = r#"{"role":"user","content":"And which wakes?"}"#;

/// Opening and conversation of a request.
fn keys(tenant: &str, messages: &[&str]) -> (Option<Key>, Option<Key>) {
    let hints = Hints {
        shield: None,
        model: None,
        routing_mode: None,
        read_cache: false,
        semantic: false,
        threshold: 0.0,
        user: None,
        predictor: None,
    };
    let body = format!(r#"{{"messages":[{}]}}"#, messages.join(","));
    let engine = Engine::new(ExactCache::new(1 << 16, 60), Semantic::default());
    let found = engine.inspect(body.as_bytes(), tenant, hints).unwrap();
    (found.opening(&body), found.conversation(&body))
}

#[test]
fn a_conversation_keeps_the_opening_of_its_first_request() {
    let (opening, alone) = keys("t", &[SYSTEM, ASKED]);
    assert!(opening.is_some() && alone.is_none(), "one turn is no conversation yet");
    assert_eq!(keys("t", &[SYSTEM, ASKED, SAID, MORE]), (opening, opening));
    assert_eq!(keys("t", &[SYSTEM, ASKED, SAID, MORE, SAID, SYSTEM, ASKED]).1, opening);
    let developer = SYSTEM.replace("system", "developer");
    assert_eq!(keys("t", &[&developer, ASKED]).0, opening, "both words mean instructions");
}

#[test]
fn tenants_instructions_and_first_questions_tell_conversations_apart() {
    let one = keys("t", &[SYSTEM, ASKED]).0;
    let others = [
        keys("u", &[SYSTEM, ASKED]).0,
        keys("t", &[ASKED]).0,
        keys("t", &[SYSTEM, MORE]).0,
        keys("t", &[&SYSTEM.replace("brief", "long"), ASKED]).0,
        keys("t", &[&SYSTEM.replace("system", "user"), ASKED]).0,
    ];
    assert!(others.iter().all(|other| other.is_some() && *other != one));
}

#[test]
fn an_answer_that_was_put_before_the_first_question_counts_as_a_turn() {
    assert_eq!(keys("t", &[SAID, ASKED]).1, keys("t", &[ASKED]).0);
}

#[test]
fn without_a_user_there_is_nothing_to_go_by() {
    assert_eq!(keys("t", &[SYSTEM]), (None, None));
    assert_eq!(keys("t", &[SAID, SAID]), (None, None));
}

#[test]
fn what_the_cache_answers_is_classified_on_demand_like_everything_else() {
    let engine = Engine::new(ExactCache::new(1 << 16, 60), Semantic::default());
    let body = format!(r#"{{"messages":[{SYSTEM},{ASKED},{SAID},{MORE}]}}"#);
    let hints = Hints {
        shield: None,
        model: None,
        routing_mode: None,
        read_cache: true,
        semantic: false,
        threshold: 0.0,
        user: None,
        predictor: None,
    };
    let asked = engine.inspect(body.as_bytes(), "t", hints).unwrap();
    let reply = StoredReply {
        body: b"{}"[..].into(),
        deployment: "a/b".into(),
        account: "acct".into(),
        simulated: true,
        prompt_tokens: 1,
        completion_tokens: 1,
        stored_at_s: engine.cache.now_s(),
    };
    assert!(engine.cache.store(asked.key, reply, None));
    let again = engine.inspect(body.as_bytes(), "t", hints).unwrap();
    assert!(again.hit.is_some() && again.classification.is_none());
    let (first, later) = (asked.classification.unwrap(), again.classified(&body));
    assert_eq!((first.task, first.complexity.to_bits()), (later.task, later.complexity.to_bits()));
}
