use proptest::prelude::*;

use super::{Engine, Hints, Inspection, Semantic};
use crate::error::{Fault, Rejection};
use crate::exact::{ExactCache, StoredReply};

const HINTS: Hints<'_> = Hints {
    shield: None,
    model: None,
    routing_mode: None,
    read_cache: true,
    semantic: false,
    threshold: 0.0,
    user: None,
    predictor: None,
};
const BODY: &str = r#"{"model":"auto","messages":[{"role":"user","content":"Hi"}]}"#;

fn engine() -> Engine {
    Engine::new(ExactCache::with_clock(1 << 20, 60, Box::new(|| 1_800_000_000)), Semantic::default())
}

fn inspect(body: &str, hints: Hints<'_>) -> Result<Inspection, Rejection> {
    engine().inspect(body.as_bytes(), "t", hints)
}

fn reply() -> StoredReply {
    let (body, deployment) = (b"{}"[..].into(), "a/b".into());
    StoredReply {
        body,
        deployment,
        account: "acct".into(),
        simulated: true,
        prompt_tokens: 1,
        completion_tokens: 1,
        stored_at_s: 1_800_000_000,
    }
}

#[test]
fn a_stored_answer_is_found_again_by_its_tenant_only() {
    let engine = engine();
    let found = engine.inspect(BODY.as_bytes(), "t", HINTS).unwrap();
    assert!(found.hit.is_none());
    assert!(engine.cache.store(found.key, reply(), None));
    assert!(engine.inspect(BODY.as_bytes(), "t", HINTS).unwrap().hit.is_some());
    assert!(engine.inspect(BODY.as_bytes(), "other", HINTS).unwrap().hit.is_none());
    let unread = Hints { read_cache: false, ..HINTS };
    assert!(engine.inspect(BODY.as_bytes(), "t", unread).unwrap().hit.is_none());
}

#[test]
fn hints_replace_the_bodys_model_and_mode_in_the_key_too() {
    let forced = Hints { model: Some("gpt-4o"), routing_mode: Some("speed"), ..HINTS };
    let found = inspect(BODY, forced).unwrap();
    assert_eq!(found.request.model.as_deref(), Some("gpt-4o"));
    assert_eq!(found.request.routing_mode.map(crate::RoutingMode::as_str), Some("speed"));
    let said = BODY.replace("\"auto\"", "\"gpt-4o\",\"routing_mode\":\"speed\"");
    assert_eq!(inspect(&said, HINTS).unwrap().key, found.key);
    assert_ne!(inspect(BODY, HINTS).unwrap().key, found.key);
}

#[test]
fn a_wrong_hint_names_its_header() {
    let param = |hints| inspect(BODY, hints).err().map(|it| (it.fault, it.param.unwrap()));
    let mode = Hints { routing_mode: Some("fast"), ..HINTS };
    assert_eq!(param(mode), Some((Fault::InvalidField, "X-Routing-Mode".into())));
    let model = Hints { model: Some(""), ..HINTS };
    assert_eq!(param(model), Some((Fault::InvalidField, "X-Force-Model".into())));
}

#[test]
fn streaming_shares_its_entry() {
    let streamed =
        BODY.replace("\"auto\"", "\"auto\",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    assert_eq!(inspect(BODY, HINTS).unwrap().key, inspect(&streamed, HINTS).unwrap().key);
}

#[test]
fn the_last_user_message_is_read_from_strings_and_parts() {
    let text = |messages: &str| {
        let body = format!(r#"{{"messages":[{messages}]}}"#);
        inspect(&body, HINTS).unwrap().last_user_text(&body).into_owned()
    };
    let (user, assistant) = (r#"{"role":"user","content":"a\nb"}"#, r#"{"role":"assistant","content":"c"}"#);
    assert_eq!(text(&format!("{user},{assistant}")), "a\nb");
    assert_eq!(text(assistant), "");
    let parts = r#"{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url"},{"type":"text","text":"y"}]}"#;
    assert_eq!(text(&format!("{user},{parts}")), "x\ny");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = engine().inspect(&body, "t", HINTS);
    }

    #[test]
    fn a_damaged_body_never_panics(at in 0..BODY.len(), byte in any::<u8>()) {
        let mut body = BODY.as_bytes().to_vec();
        body[at] = byte;
        if let Ok(found) = engine().inspect(&body, "t", HINTS) {
            let text = std::str::from_utf8(&body).unwrap();
            let sent = found.upstream_body(text, &crate::Upstream::default());
            prop_assert!(crate::Tree::parse(&sent).is_ok());
        }
    }
}

/// Unit vectors at a cosine, as a second embedder might give them.
fn at(cosine: f64) -> [Vec<i8>; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "within 127")]
    let number = |share: f64| (share * 127.0).round() as i8;
    let angle = cosine.acos();
    [vec![127, 0], vec![number(angle.cos()), number(angle.sin())]]
}

/// Is the answer to one question served for another, where the second embedder gives them this cosine?
fn decided(left: &str, right: &str, cosine: f64) -> bool {
    let semantic = Semantic { decides: true, ..Semantic::default() };
    let engine = Engine::new(ExactCache::with_clock(1 << 20, 60, Box::new(|| 1_800_000_000)), semantic);
    let hints = Hints { semantic: true, ..HINTS };
    let ask = |text: &str| engine.inspect(BODY.replace("Hi", text).as_bytes(), "t", hints).unwrap();
    let [mine, theirs] = at(cosine);
    let stored = ask(left);
    assert!(engine.cache.store(stored.key, reply(), stored.probe));
    assert!(engine.attach(&stored.key, "second", &mine));
    let asked = ask(right);
    assert!(asked.hit.is_none() && asked.undecided(), "{left} {right}");
    engine.decide(&asked, "second", &theirs).is_some_and(|hit| f64::from(hit.similarity) > cosine - 0.005)
}

#[test]
fn each_doubt_has_its_own_cosine() {
    for (least, left, right) in [
        (
            0.95,
            "What do brides with short hair wear at a wedding?",
            "What do brides wear at a wedding with short hair?",
        ),
        (0.95, "What happens when a volcano erupts?", "What happened when a volcano erupted?"),
        (0.95, "Why do tomatoes split on a balcony?", "Why do cherry tomatoes crack on a balcony garden?"),
        (0.96, "How do I grow tomatoes?", "How do I grow cherry tomatoes?"),
    ] {
        assert!(decided(left, right, least + 0.007), "{left} {right}");
        assert!(!decided(left, right, least - 0.007), "{left} {right}");
    }
}

#[test]
fn without_a_second_embedder_no_doubt_is_served() {
    let hints = Hints { semantic: true, ..HINTS };
    let engine = engine();
    let ask = |text: &str| engine.inspect(BODY.replace("Hi", text).as_bytes(), "t", hints).unwrap();
    let stored = ask("What happens when a volcano erupts?");
    assert!(engine.cache.store(stored.key, reply(), stored.probe));
    let asked = ask("What happened when a volcano erupted?");
    assert!(asked.hit.is_none() && !asked.undecided());
}
