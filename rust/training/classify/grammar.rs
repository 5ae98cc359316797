//! Makes training prompts of our own from a small grammar, so that no source's style is all the model knows.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use _core::Task;

use super::rows::{Row, domain_of};
use crate::solver::Random;

/// `[name]` opens a rule, each further line is one alternative, `{name}` is replaced, `{a|b}` is a choice,
/// `\n` a line break, ⟨ and ⟩ are braces of code. Rules called `task:...`, `risk:...` and `safe:...` are labels.
const GRAMMAR: [&str; 3] = [
    include_str!("grammar/tasks.txt"),
    include_str!("grammar/stakes.txt"),
    include_str!("grammar/words.txt"),
];
/// Replacements in one prompt; a rule that calls itself ends here.
const MAX_DEPTH: usize = 12;

/// Prompts on which cheap models fail more often than not.
pub const HARD: [&str; 8] = [
    "Prove that every bounded monotone sequence of real numbers converges, state each theorem that you use, and \
     then derive a rate of convergence for the sequence defined by x_1 = 2, x_{n+1} = (x_n + 2/x_n)/2.",
    "Design a distributed rate limiter for 20 regions that must keep p99 latency below 5 ms, survive the loss of \
     any one region, never exceed a customer's quota by more than 1 %, and cost less than $2,000 a month. Explain the \
     consistency model, the failure modes, the trade-offs against a central store, and give pseudocode.",
    "Given a weighted directed graph with negative edges but no negative cycles, write an algorithm that finds the \
     k shortest simple paths between two vertices, prove its correctness, and derive its asymptotic complexity.",
    "Let $f(x) = \\frac{x^3 - 3x + 2}{x^2 - 1}$. Find all asymptotes, the range of $f$, and the number of real \
     solutions of $f(x) = k$ as a function of $k$, with a rigorous proof for each case.",
    "Refactor this scheduler so that it is lock-free and starvation-free, keeps FIFO order within each priority, \
     bounds memory, and passes under a model checker; prove that no interleaving loses a task, and list edge cases.",
    "A factory has three machines with failure rates of 0.02, 0.05 and 0.07 per hour. Repair takes 3, 5 and 8 hours. \
     At most two can be repaired at once. Derive the steady-state probability that at least two run, assuming \
     exponential times, and the repair order that maximises output subject to a budget of 40 hours a week.",
    "Compare three consensus protocols under partial synchrony: derive the message complexity of each, construct an \
     execution in which one violates liveness, and propose a novel optimisation with a formal safety argument.",
    "Draft a zero-downtime migration plan from a monolithic Oracle schema of 400 tables to event-sourced services: \
     ordering constraints, backfill, dual writes, rollback at each step, consistency checks, and capacity limits.",
];

type Rules = BTreeMap<&'static str, Vec<&'static str>>;

fn rules() -> Rules {
    let mut rules = Rules::new();
    let mut name = "";
    for line in GRAMMAR.iter().flat_map(|text| text.lines()).map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(next) => name = next,
            None => rules.entry(name).or_default().push(line),
        }
    }
    rules
}

/// `per_alternative` prompts for each line of each labelled rule, at most `per_rule` for one rule.
pub fn prompts(per_alternative: usize, per_rule: usize, seed: u64) -> Vec<Row> {
    let rules = rules();
    let mut random = Random::new(seed);
    let mut rows = Vec::new();
    for (name, alternatives) in &rules {
        let Some((kind, label)) = name.split_once(':') else { continue };
        let times = (per_rule / alternatives.len()).clamp(1, per_alternative);
        for alternative in alternatives.iter().flat_map(|line| std::iter::repeat_n(line, times)) {
            let framed = frame(kind, alternative, &mut random);
            let text = expand(&rules, &framed, &mut random, 0);
            rows.push(labelled(kind, label, vary(&text, &mut random)));
        }
    }
    rows
}

fn labelled(kind: &str, label: &str, prompt: String) -> Row {
    let (label, is_open) = label.strip_suffix("/open").map_or((label, false), |label| (label, true));
    let task = (kind != "risk").then(|| Task::ALL.into_iter().find(|task| task.as_str() == label)).flatten();
    Row {
        prompt,
        source: format!("own-{kind}-{label}"),
        task: if kind == "task" { task } else { None },
        high_risk: (!is_open).then_some(kind == "risk"),
        domain: if kind == "risk" { domain_of(label) } else { None },
        is_human: false,
        weight: 1.0,
    }
}

/// Replace what stands in braces, which may be nested.
fn expand(rules: &Rules, text: &str, random: &mut Random, depth: usize) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some((before, slot, tail)) = next_slot(rest) {
        out.push_str(before);
        rest = tail;
        let choices = choices_of(slot);
        let choice = random.pick(&choices);
        if depth >= MAX_DEPTH {
            continue;
        }
        let rule = rules.get(choice).filter(|_| choices.len() == 1);
        let text = rule.map_or(choice, |alternatives| random.pick(alternatives));
        out.push_str(&expand(rules, text, random, depth + 1));
    }
    out.push_str(rest);
    out.replace("\\n", "\n")
}

/// What stands before the first slot, in it and behind it.
fn next_slot(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find('{')?;
    let mut depth = 0_usize;
    for (at, letter) in text[start..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let end = start + at;
            return Some((&text[..start], &text[start + 1..end], &text[end + 1..]));
        }
    }
    None
}

/// The alternatives of a slot, cut at the bars that stand in no inner slot.
fn choices_of(slot: &str) -> Vec<&str> {
    let (mut choices, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, letter) in slot.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                choices.push(&slot[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    choices.push(&slot[from..]);
    choices
}

/// What stands before and after a request says little about its task.
fn frame(kind: &str, alternative: &str, random: &mut Random) -> String {
    let (before, after) = match random.below(10) {
        _ if kind != "task" => ("", ""),
        0 | 1 => ("{before}", ""),
        2 | 3 => ("", "{after}"),
        4 => ("{before}", "{after}"),
        5 => ("{before}{before}", "{after}{after}"),
        _ => ("", ""),
    };
    format!("{before}{alternative}{after}")
}

/// People write carelessly: small letters, no stop at the end.
fn vary(text: &str, random: &mut Random) -> String {
    let mut text = text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    text = text.replace('⟨', "{").replace('⟩', "}");
    if random.below(4) == 0 {
        text = text.trim_end_matches(['.', '?']).to_owned();
    }
    if random.below(5) == 0 {
        text = text.to_lowercase();
    }
    text
}
