//! How long the native part of one request takes: `cargo bench`.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use _core::{Engine, ExactCache, Hints, Inspection, Shield, StoredReply, Upstream, estimate_tokens};
use divan::{Bencher, black_box};

const HINTS: Hints<'_> = Hints { shield: None, model: None, routing_mode: None, read_cache: true };
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
        simulated: false,
        prompt_tokens: 210,
        completion_tokens: 64,
        stored_at_s: 1_800_000_000,
    }
}

fn engine() -> Engine {
    Engine::new(ExactCache::with_clock(256 << 20, 604_800, Box::new(|| 1_800_000_001)))
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

#[divan::bench(args = SIZES)]
fn inspect_hit(bencher: Bencher, text_bytes: usize) {
    let (engine, body) = (engine(), body(text_bytes));
    if let Some(found) = inspect(&engine, &body) {
        engine.cache.store(found.key, reply(700));
    }
    bencher.bench(|| inspect(&engine, black_box(&body)).map(|found| found.hit.is_some()));
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
        .bench_values(|(key, reply)| engine.cache.store(key, reply));
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
