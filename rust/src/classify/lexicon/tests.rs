use super::*;

fn classes(text: &str) -> Vec<&'static str> {
    let lexicon = Lexicon::new();
    let (mut found, mut before) = (0, [0; 3]);
    for word in words::words(text) {
        let (alone, phrase) = lexicon.look_up(text, word, before);
        found |= alone | phrase;
        before = [word.hash, before[0], before[1]];
    }
    lexicon
        .names
        .iter()
        .enumerate()
        .filter(|(bit, _)| found & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect()
}

#[test]
fn a_word_has_its_classes_in_every_regular_form() {
    assert!(classes("Summarize").contains(&"v_summarize"));
    assert!(classes("crafting").contains(&"v_write"));
    assert!(classes("C++").contains(&"o_prolang"));
}

#[test]
fn phrases_count_only_as_a_whole() {
    assert!(classes("sum it up").contains(&"v_summarize"));
    assert!(!classes("sum it").contains(&"v_summarize"));
    assert!(classes("end my life").contains(&"m_selfharm"));
    assert!(classes("self-harm").contains(&"m_selfharm"));
}

#[test]
fn an_unknown_drug_is_known_by_its_ending() {
    assert!(classes("zofenopril").contains(&"m_drug"));
    assert!(!classes("april").contains(&"m_drug"));
}

#[test]
fn the_classes_fit_their_bits_and_have_names_of_their_own() {
    let lexicon = Lexicon::new();
    assert!(lexicon.names.len() <= MAX_CLASSES, "{}", lexicon.names.len());
    let mut names = lexicon.names.clone();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), lexicon.names.len());
    assert!(lexicon.entries.len() < usize::from(u16::MAX));
}
