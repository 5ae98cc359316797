//! How long the native part of one request takes: `cargo bench`.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use _core::{
    Engine, ExactCache, Hints, Inspection, Semantic, Shield, StoredReply, Upstream, estimate_tokens,
};
use divan::{Bencher, black_box};

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
const PROSE: &str = "Large bridges move: steel grows by about 12 mm per metre and 1000 degrees, so engineers leave \
    joints between the sections. Explain to a 9-year-old why, in two or three sentences. ";

fn main() {
    divan::main();
}

/// A conversation of four messages whose texts have about `text_bytes` each.
fn body(text_bytes: usize) -> String {
    let text: String = PROSE.chars().cycle().take(text_bytes).collect();
    let mut body =
        String::from(r#"{"model":"neural-router-v2","temperature":0.2,"max_tokens":256,"messages":["#);
    for (nth, role) in ["system", "user", "assistant", "user"].iter().enumerate() {
        let comma = if nth == 0 { "" } else { "," };
        let _ = write!(body, r#"{comma}{{"role":"{role}","content":"{text}"}}"#);
    }
    body.push_str(r#"],"stream":true,"user":"customer-42"}"#);
    body
}

fn reply(bytes: usize) -> StoredReply {
    StoredReply {
        body: vec![b'x'; bytes].into(),
        deployment: "openai/gpt-4o-mini".into(),
        account: "acct".into(),
        simulated: false,
        prompt_tokens: 210,
        completion_tokens: 64,
        stored_at_s: 1_800_000_000,
    }
}

fn engine() -> Engine {
    Engine::new(ExactCache::with_clock(256 << 20, 604_800, Box::new(|| 1_800_000_001)), Semantic::default())
}

fn inspect(engine: &Engine, body: &str) -> Option<Inspection> {
    engine.inspect(body.as_bytes(), "tenant-1", HINTS).ok()
}

/// Text bytes per message; 205 gives a body of 1 KB, 16,320 one of 64 KB.
const SIZES: [usize; 3] = [205, 2_000, 16_320];

#[divan::bench(args = SIZES)]
fn inspect_miss(bencher: Bencher, text_bytes: usize) {
    let (engine, body) = (engine(), body(text_bytes));
    bencher.counter(divan::counter::BytesCount::new(body.len())).bench(|| inspect(&engine, black_box(&body)));
}

/// Everything that a request of a new prompt costs: parse, key, cache, shield and classifier.
#[divan::bench(args = SIZES)]
fn inspect_with_the_shield(bencher: Bencher, text_bytes: usize) {
    let (engine, body, shield) = (engine(), body(text_bytes), Shield::new(&[], true).ok());
    let hints = Hints { shield: shield.as_ref(), ..HINTS };
    bencher
        .counter(divan::counter::BytesCount::new(body.len()))
        .bench(|| engine.inspect(black_box(body.as_bytes()), "tenant-1", hints).ok());
}

/// What the predictor adds, the classifier's scan included: the row of one text.
#[divan::bench(args = [205, 1_024, 8_192])]
fn route_row(bencher: Bencher, bytes: usize) {
    let text: String = PROSE.chars().cycle().take(bytes).collect();
    bencher.bench(|| _core::predict::row(black_box(&text)));
}

/// Every layer of a 1 KB prompt that is in no cache: shield, semantic look-up, classifier, predictor. Budget: 150 us.
#[divan::bench]
fn decide_on_1_kb(bencher: Bencher) {
    decide(bencher, &PROSE.chars().cycle().take(1024).collect::<String>());
}

/// The same for a score of questions about different things, each of which the semantic cache reads.
#[divan::bench]
fn decide_on_1_kb_of_many_words(bencher: Bencher) {
    let questions: String = (0..).map(|nth| format!("{} ", asked(nth * 211))).take(25).collect();
    decide(bencher, &questions.chars().take(1024).collect::<String>());
}

fn decide(bencher: Bencher, text: &str) {
    let (engine, shield) = (engine(), Shield::new(&[], true).ok());
    let body = format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let hints = Hints { shield: shield.as_ref(), ..SEMANTIC };
    bencher.bench(|| engine.inspect(black_box(body.as_bytes()), "tenant-1", hints).ok());
}

#[divan::bench(args = SIZES)]
fn inspect_hit(bencher: Bencher, text_bytes: usize) {
    let (engine, body) = (engine(), body(text_bytes));
    if let Some(found) = inspect(&engine, &body) {
        engine.cache.store(found.key, reply(700), None);
    }
    bencher.bench(|| inspect(&engine, black_box(&body)).map(|found| found.hit.is_some()));
}

const SEMANTIC: Hints<'_> = Hints { semantic: true, ..HINTS };
const VERBS: [&str; 10] =
    ["clean", "repair", "paint", "sell", "store", "measure", "carry", "design", "choose", "recycle"];
const THINGS: [&str; 20] = [
    "chair", "bridge", "violin", "bicycle", "window", "carpet", "boiler", "camera", "fence", "ladder",
    "mirror", "piano", "roof", "shovel", "tent", "wheel", "anchor", "basket", "candle", "drum",
];
const PLACES: [&str; 50] = [
    "kitchen",
    "garden",
    "museum",
    "harbour",
    "desert",
    "school",
    "hospital",
    "factory",
    "theatre",
    "castle",
    "cellar",
    "village",
    "airport",
    "station",
    "library",
    "bakery",
    "brewery",
    "chapel",
    "cinema",
    "college",
    "court",
    "dairy",
    "embassy",
    "farm",
    "forest",
    "gallery",
    "hotel",
    "island",
    "jungle",
    "laboratory",
    "market",
    "mill",
    "mine",
    "monastery",
    "office",
    "orchard",
    "palace",
    "prison",
    "quarry",
    "ranch",
    "school",
    "shipyard",
    "stable",
    "stadium",
    "studio",
    "temple",
    "tunnel",
    "valley",
    "vineyard",
    "workshop",
];

/// Up to 100,000 different questions.
fn asked(nth: usize) -> String {
    let at = |words: &[&str], step: usize| words[nth / step % words.len()].to_owned();
    let (verb, thing, place) = (at(&VERBS, 1), at(&THINGS, 10), at(&PLACES, 200));
    let colour = ["red", "old", "heavy", "wooden", "rusty", "tiny", "broken", "wet", "round", "noisy"]
        [nth / 10_000 % 10];
    format!("How do I {verb} a {colour} {thing} in a {place}?")
}

fn question(nth: usize) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, asked(nth))
}

/// Everything that a question costs that no answer fits, or that another one's answer fits: parse, key, plain words,
/// embedding, scan, verifier, and for a miss the classifier. The scope has this many stored questions.
#[divan::bench(args = [1_000, 10_000, 100_000], consts = [false, true])]
fn inspect_semantic<const HIT: bool>(bencher: Bencher, stored: usize) {
    let engine = engine();
    for nth in 0..stored {
        if let Ok(found) = engine.inspect(question(nth).as_bytes(), "tenant-1", SEMANTIC) {
            engine.cache.store(found.key, reply(700), found.probe);
        }
    }
    let asked = if HIT {
        question(stored / 2).replace("How do I", "What is the best way to")
    } else {
        question(stored / 2).replace("How do I", "Why should nobody")
    };
    bencher.bench(|| {
        engine.inspect(black_box(asked.as_bytes()), "tenant-1", SEMANTIC).map(|it| it.hit.is_some()).ok()
    });
}

#[divan::bench(args = SIZES)]
fn upstream_body(bencher: Bencher, text_bytes: usize) {
    let (engine, body) = (engine(), body(text_bytes));
    let found = inspect(&engine, &body);
    let upstream = Upstream { model: "gpt-4o-mini", stream: true, ..Upstream::default() };
    bencher.bench(|| found.as_ref().map(|found| found.upstream_body(black_box(&body), &upstream)));
}

#[divan::bench(args = SIZES)]
fn last_user_text(bencher: Bencher, text_bytes: usize) {
    let (engine, body) = (engine(), body(text_bytes));
    let found = inspect(&engine, &body);
    bencher.bench(|| found.as_ref().map(|found| found.last_user_text(black_box(&body)).len()));
}

#[divan::bench]
fn estimate_1_kb_of_prose(bencher: Bencher) {
    let text: String = PROSE.chars().cycle().take(1024).collect();
    bencher.bench(|| estimate_tokens(black_box(&text)));
}

#[divan::bench]
fn store_700_bytes(bencher: Bencher) {
    let engine = engine();
    let nth = AtomicU64::new(0);
    bencher
        .with_inputs(|| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&nth.fetch_add(1, Ordering::Relaxed).to_le_bytes());
            (key, reply(700))
        })
        .bench_values(|(key, reply)| engine.cache.store(key, reply, None));
}

#[divan::bench]
fn refuse_16_mib_of_brackets(bencher: Bencher) {
    let engine = engine();
    let body = format!("[{}[]]", "[],".repeat((16 << 20) / 3));
    bencher.bench(|| inspect(&engine, black_box(&body)).is_none());
}

#[divan::bench]
fn refuse_16_mib_of_text_at_its_last_byte(bencher: Bencher) {
    let engine = engine();
    let body = format!("\"{}", "a".repeat(16 << 20));
    bencher.bench(|| inspect(&engine, black_box(&body)).is_none());
}
