//! What a scan means to the linear model: named features in one list, hashed n-grams in another.

#[cfg(test)]
mod tests;

use super::complexity::HardWords;
use super::lexicon::{Classes, Lexicon, MAX_CLASSES};
use super::scan::{LEADS, Roles, Scan, ZONES};
use super::shape::{Shape, log2};

const ZONE_NAMES: [&str; ZONES] = ["first-lead", "last-lead", "lead", "head", "tail", "opening", "question"];
/// Where each group of named features begins.
const ANYWHERE: usize = ZONES * MAX_CLASSES;
const PAIRS: usize = ANYWHERE + MAX_CLASSES;
const STAKES: usize = PAIRS + LEADS * MAX_CLASSES;
const SHAPES: usize = STAKES + DOMAINS.len() * (FORMS.len() + 1);
/// Number of named features, with room for shapes yet to come.
pub(crate) const NAMED: usize = SHAPES + 96;

/// Groups of classes about which advice can matter, by the beginnings of their names.
const DOMAINS: [(&str, &[&str]); 20] = [
    ("medical", &["m_condition", "m_symptom", "m_drug", "m_act"]),
    ("body", &["m_body"]),
    ("mental", &["m_mental"]),
    ("self-harm", &["m_selfharm"]),
    ("relations", &["m_relation"]),
    ("law", &["l_issue"]),
    ("contract", &["l_contract"]),
    ("investing", &["f_invest"]),
    ("tax", &["f_tax"]),
    ("banking", &["f_bank"]),
    ("safety", &["s_electric", "s_chemical", "s_structure"]),
    ("weapons", &["h_weapon"]),
    ("violence", &["h_violence"]),
    ("sexual", &["h_sexual", "h_minor"]),
    ("hate", &["h_hate"]),
    ("crime", &["h_crime", "h_evade"]),
    ("drugs", &["h_drugs"]),
    ("intrusion", &["h_cyber"]),
    ("elections", &["h_election"]),
    ("incitement", &["h_conspiracy"]),
];

/// How a domain is spoken of.
const FORMS: [&str; 7] = ["my", "should-i", "question", "request", "write", "topic", "only"];

const LENGTHS: [u32; 9] = [3, 6, 10, 16, 32, 64, 128, 256, 512];

/// Features of one text.
pub(super) struct Features {
    /// (index below [`NAMED`], value).
    pub(super) named: Vec<(u16, f32)>,
    /// Value of each n-gram: one over the root of their number.
    pub(super) ngram_value: f32,
}

/// Lists with the sets that are asked for again and again.
pub(super) struct Vocabulary {
    pub(super) lexicon: Lexicon,
    roles: Roles,
    domains: [Classes; DOMAINS.len()],
    forms: FormClasses,
    pub(super) hard: HardWords,
}

struct FormClasses {
    first_person: Classes,
    advice: Classes,
    questions: Classes,
    requests: Classes,
    writing: Classes,
    topic: Classes,
}

impl Vocabulary {
    /// Compile the lists.
    pub(super) fn new() -> Self {
        let lexicon = Lexicon::new();
        let leads = lexicon.classes_where(|name| name.starts_with("v_") || name.starts_with("q_"));
        let roles = Roles { polite: lexicon.classes_where(|name| name == "polite"), leads };
        let domains = DOMAINS.map(|(_, members)| lexicon.classes_where(|name| members.contains(&name)));
        let any = |names: &'static [&'static str]| lexicon.classes_where(|name| names.contains(&name));
        let forms = FormClasses {
            first_person: any(&["p_i", "p_family", "p_age"]),
            advice: any(&["q_should", "p_ask", "o_advice"]),
            questions: lexicon.classes_where(|name| name.starts_with("q_")),
            requests: any(&["v_give", "v_suggest", "v_find", "v_explain"]),
            writing: any(&[
                "v_write",
                "v_make",
                "v_rewrite",
                "v_summarize",
                "v_translate",
                "v_code",
                "v_extract",
            ]),
            topic: any(&["t_topic"]),
        };
        let hard = HardWords {
            constraints: any(&["o_constraint"]),
            hard: any(&["o_hard"]),
            math: any(&["o_math", "o_science", "o_logic"]),
            terms: any(&["o_mathterm"]),
            code: any(&["o_codetoken"]),
        };
        Self { lexicon, roles, domains, forms, hard }
    }

    /// Scan a text.
    pub(super) fn scan(&self, text: &str) -> Scan {
        Scan::of(text, &self.lexicon, &self.roles)
    }

    /// The features of a scan.
    pub(super) fn features(&self, scan: &Scan) -> Features {
        let mut named = Named(Vec::with_capacity(256));
        named.zones(scan);
        named.pairs(scan);
        self.stakes(scan, &mut named);
        named.shapes(&scan.shape);
        let ngram_value = 1.0 / (scan.ngrams.len().max(1) as f32).sqrt();
        Features { named: named.0, ngram_value }
    }

    /// Which domains are spoken of, and how.
    fn stakes(&self, scan: &Scan, named: &mut Named) {
        let forms = self.forms_of(scan);
        let hits = self.domains.map(|classes| scan.hits(classes));
        let spoken = hits.iter().filter(|hits| **hits > 0).count();
        for (domain, &hits) in hits.iter().enumerate().filter(|(_, hits)| **hits > 0) {
            let base = STAKES + domain * (FORMS.len() + 1);
            named.push(base, f32::from(hits.min(6)) / 3.0);
            for (nth, _) in forms.iter().enumerate().filter(|(_, holds)| **holds) {
                named.push(base + 1 + nth, 1.0);
            }
            if spoken == 1 {
                named.push(base + FORMS.len(), 1.0);
            }
        }
    }

    fn forms_of(&self, scan: &Scan) -> [bool; FORMS.len() - 1] {
        let forms = &self.forms;
        let leads = scan.zones[0] | scan.zones[1];
        let seen = |classes| scan.hits(classes) > 0;
        [
            seen(forms.first_person),
            seen(forms.advice),
            (leads | scan.zones[6]) & forms.questions != 0,
            leads & forms.requests != 0,
            leads & forms.writing != 0,
            seen(forms.topic),
        ]
    }
}

struct Named(Vec<(u16, f32)>);

impl Named {
    fn push(&mut self, index: usize, value: f32) {
        self.0.push((u16::try_from(index).unwrap_or(0), value));
    }

    fn zones(&mut self, scan: &Scan) {
        for (nth, &zone) in scan.zones.iter().enumerate() {
            let mut classes = zone;
            while classes != 0 {
                self.push(nth * MAX_CLASSES + classes.trailing_zeros() as usize, 1.0);
                classes &= classes - 1;
            }
        }
        let half = 1.0 + scan.shape.words as f32 / 24.0;
        for (class, &count) in scan.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = f32::from(count);
            self.push(ANYWHERE + class, count / (count + half));
        }
    }

    fn pairs(&mut self, scan: &Scan) {
        for (lead, &after) in scan.pairs.iter().enumerate() {
            let mut classes = after;
            while classes != 0 {
                self.push(PAIRS + lead * MAX_CLASSES + classes.trailing_zeros() as usize, 1.0);
                classes &= classes - 1;
            }
        }
    }

    fn shapes(&mut self, shape: &Shape) {
        for (nth, value) in shape_values(shape).into_iter().enumerate() {
            if value > 0.0 {
                self.push(SHAPES + nth, value);
            }
        }
    }
}

const SHAPE_NAMES: [&str; 36] = [
    "words<=3",
    "words<=6",
    "words<=10",
    "words<=16",
    "words<=32",
    "words<=64",
    "words<=128",
    "words<=256",
    "words<=512",
    "words>512",
    "log-words",
    "one-line",
    "lines",
    "first-line-short",
    "ends-with-question-mark",
    "question-marks",
    "ends-with-colon",
    "ends-with-stop",
    "numbers",
    "math-signs",
    "backslashes",
    "dollars",
    "braces",
    "semicolons",
    "backticks",
    "equals",
    "underscores",
    "quotes",
    "beyond-ascii",
    "list-items",
    "indented",
    "tabs-and-pipes",
    "long-words",
    "sentences",
    "repetition",
    "brackets",
];

fn shape_values(shape: &Shape) -> [f32; SHAPE_NAMES.len()] {
    let words = shape.words.max(1) as f32;
    let lines = shape.breaks() as f32;
    let per_word = |count: u32, full: f32| (count as f32 / words * full).min(1.0);
    let flag = |holds: bool| f32::from(u8::from(holds));
    let non_ascii: u32 = shape.histogram.get(128..).unwrap_or_default().iter().sum();
    let mut values = [0.0; SHAPE_NAMES.len()];
    let bin = LENGTHS.iter().position(|&length| shape.words <= length).unwrap_or(LENGTHS.len());
    values[bin] = 1.0;
    let rest = [
        log2(shape.words) / 10.0,
        flag(lines == 0.0),
        (lines / (lines + 8.0)).min(1.0),
        flag(lines > 0.0 && shape.first_line_words < 25),
        flag(shape.ends_with == b'?'),
        (shape.count(b"?") as f32 / 3.0).min(1.0),
        flag(shape.ends_with == b':'),
        flag(matches!(shape.ends_with, b'.' | b'!')),
        per_word(shape.numbers, 4.0),
        per_word(shape.count(b"+*/^<>"), 4.0),
        per_word(shape.count(b"\\"), 4.0),
        per_word(shape.count(b"$"), 8.0),
        per_word(shape.count(b"{}"), 8.0),
        per_word(shape.count(b";"), 8.0),
        (shape.count(b"`") as f32 / 6.0).min(1.0),
        per_word(shape.count(b"="), 8.0),
        per_word(shape.count(b"_"), 8.0),
        per_word(shape.count(b"\""), 8.0),
        (non_ascii as f32 / shape.bytes.max(1) as f32 * 3.0).min(1.0),
        (shape.list_items as f32 / 5.0).min(1.0),
        (shape.indented as f32 / 5.0).min(1.0),
        per_word(shape.count(b"\t|"), 4.0),
        per_word(shape.long_words, 3.0),
        (shape.sentences as f32 / (shape.sentences as f32 + 6.0)).min(1.0),
        1.0 - (shape.distinct as f32 / (2.0 * words)).min(1.0),
        per_word(shape.count(b"()[]"), 4.0),
    ];
    values[LENGTHS.len() + 1..].copy_from_slice(&rest);
    values
}

/// The name of a named feature.
pub(super) fn name_of(index: u16, lexicon: &Lexicon) -> String {
    let index = usize::from(index);
    let class = |bit: usize| lexicon.names().get(bit).copied().unwrap_or("?");
    if index < ANYWHERE {
        format!("{}:{}", ZONE_NAMES[index / MAX_CLASSES], class(index % MAX_CLASSES))
    } else if index < PAIRS {
        format!("has:{}", class(index - ANYWHERE))
    } else if index < STAKES {
        let pair = index - PAIRS;
        format!("{}+{}", class(pair / MAX_CLASSES), class(pair % MAX_CLASSES))
    } else if index < SHAPES {
        let (domain, form) = ((index - STAKES) / (FORMS.len() + 1), (index - STAKES) % (FORMS.len() + 1));
        let form = form.checked_sub(1).map_or("any", |form| FORMS[form]);
        format!("stakes:{}/{form}", DOMAINS[domain].0)
    } else {
        format!("shape:{}", SHAPE_NAMES.get(index - SHAPES).copied().unwrap_or("?"))
    }
}
