use super::*;

fn names(text: &str) -> Vec<String> {
    let vocabulary = Vocabulary::new();
    let features = vocabulary.features(&vocabulary.scan(text));
    features.named.iter().map(|(index, _)| name_of(*index, &vocabulary.lexicon)).collect()
}

#[test]
fn features_have_names_that_a_reader_understands() {
    let names = names("Should I take aspirin?");
    for name in
        ["has:m_drug", "head:m_drug", "stakes:medical/my", "stakes:medical/should-i", "shape:one-line"]
    {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
}

#[test]
fn every_value_is_finite_and_small() {
    let vocabulary = Vocabulary::new();
    for text in ["", "a", "?", &"=".repeat(5000), &"word ".repeat(9000), "日本語のテキスト"] {
        let features = vocabulary.features(&vocabulary.scan(text));
        assert!(features.named.iter().all(|(_, value)| (0.0..=2.0).contains(value)), "{text:.20}");
        assert!(features.ngram_value.is_finite());
    }
}

#[test]
fn no_two_features_of_one_text_share_an_index() {
    let vocabulary = Vocabulary::new();
    let features =
        vocabulary.features(&vocabulary.scan("Write a story. Then explain why it is good for my son?"));
    let mut indices: Vec<u16> = features.named.iter().map(|(index, _)| *index).collect();
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), features.named.len());
}
