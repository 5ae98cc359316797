use super::*;

#[test]
fn every_alternative_of_the_grammar_expands() {
    let prompts = prompts(3, 600, 1);
    assert!(prompts.iter().all(|row| !row.prompt.trim().is_empty() && !row.prompt.contains("{}")));
    assert!(prompts.len() > 1000, "{}", prompts.len());
}

#[test]
fn the_same_seed_makes_the_same_prompts() {
    let texts = |seed| prompts(1, 100, seed).into_iter().map(|row| row.prompt).collect::<Vec<_>>();
    assert_eq!(texts(3), texts(3));
    assert_ne!(texts(3), texts(4));
}
