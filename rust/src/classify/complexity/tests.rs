use super::*;
use crate::classify::features::Vocabulary;

fn factors_of(text: &str) -> Factors {
    let vocabulary = Vocabulary::new();
    factors(&vocabulary.scan(text), &vocabulary.hard, &Conversation::default())
}

#[test]
fn a_text_is_prose_or_code_or_formulas() {
    let [_, prose, code_length, formulas, code, ..] = factors_of("Tom has three apples and eats one.");
    assert!(prose > 0.0 && code_length + formulas + code <= 0.0);
    let [_, prose, code_length, formulas, code, ..] =
        factors_of("def f(x):\n    return len(x)\nassert f([1])");
    assert!(code > 0.9 && code_length > 0.0 && prose + formulas <= 0.0);
    assert!(factors_of(r"Let $x^2 = \frac{1}{2}$.")[3] > 0.9);
}

#[test]
fn every_factor_stays_between_zero_and_one() {
    let conversation = Conversation {
        earlier_turns: 500,
        context_bytes: 1 << 30,
        tool_steps: 90,
        tools: 90,
        ..Default::default()
    };
    let vocabulary = Vocabulary::new();
    for text in ["", "x", &"must prove $1 ".repeat(3000)] {
        let found = factors(&vocabulary.scan(text), &vocabulary.hard, &conversation);
        assert!(found.iter().all(|factor| (0.0..=1.0).contains(factor)), "{found:?}");
    }
}

#[test]
fn the_scale_goes_from_zero_to_ten_in_tenths() {
    let mut factors = [0.0; FACTORS];
    factors[0] = 1.0;
    let weights = |constant: f32| {
        let mut weights = [0.0; FACTORS];
        weights[0] = constant;
        weights
    };
    assert!((of(&factors, &weights(0.0)) - 5.0).abs() < 1e-9);
    assert!((of(&factors, &weights(-99.0))).abs() < 1e-9);
    assert!((of(&factors, &weights(99.0)) - 10.0).abs() < 1e-9);
}

#[test]
fn material_that_a_prompt_brings_along_makes_it_no_harder() {
    let classifier = crate::classify::Classifier::shared();
    let material =
        "The harbour office reports that eleven ships came in last week, most of them with grain. "
            .repeat(40);
    let hard = classifier.classify_text(&format!("Summarize this report in two sentences:\n{material}"));
    assert!(hard.complexity < 6.0, "{}", hard.complexity);
    let proof = "Prove that there are infinitely many primes of the form $4k+3$, and generalise to Dirichlet's theorem.";
    assert!(
        classifier.classify_text(proof).complexity > classifier.classify_text("Hi there").complexity + 3.0
    );
}
