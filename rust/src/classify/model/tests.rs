use super::*;
use crate::classify::features::Vocabulary;

fn plane(feature: usize, weight: f64, bias: f64) -> Plane {
    let mut weights = vec![0.0; NAMED + BUCKETS];
    weights[feature] = weight;
    Plane { weights, bias }
}

fn model(planes: &[Plane]) -> Model {
    Model::read(Box::leak(write(planes, &[1.5, 0.25]).into_boxed_slice())).unwrap()
}

#[test]
fn what_was_written_is_read() {
    let model = model(&[plane(3, 0.5, -1.0)]);
    assert_eq!(model.tuning[..3], [1.5, 0.25, 0.0]);
    assert!((model.contribution(3, 2.0, 0) - 1.0).abs() < 1e-6);
    let features = Features { named: vec![(3, 1.0)], ngram_value: 1.0 };
    assert!((model.scores(&features, &[])[0] + 0.5).abs() < 1e-6);
}

#[test]
fn words_count_by_their_bucket() {
    let model = model(&[plane(NAMED + 7, 2.0, 0.0)]);
    let features = Features { named: Vec::new(), ngram_value: 0.5 };
    assert!((model.scores(&features, &[7, 8])[0] - 1.0).abs() < 1e-6);
    assert!((model.gram_contribution(&features, &[7], 0) - 1.0).abs() < 1e-6);
}

#[test]
fn a_file_that_is_cut_or_foreign_is_refused() {
    let file = write(&[plane(0, 1.0, 0.0)], &[]);
    let cut: &'static [u8] = Box::leak(file[..file.len() - 1].to_vec().into_boxed_slice());
    let mut foreign = file.clone();
    foreign[5] ^= 1;
    assert!(Model::read(cut).is_none());
    assert!(Model::read(Box::leak(foreign.into_boxed_slice())).is_none());
    assert!(Model::read(b"").is_none());
}

#[test]
fn scores_are_those_of_the_features() {
    let vocabulary = Vocabulary::new();
    let scan = vocabulary.scan("Write a poem");
    let features = vocabulary.features(&scan);
    let (index, value) = features.named[0];
    let model = model(&[plane(usize::from(index), 1.0, 0.0)]);
    assert!((model.scores(&features, &scan.ngrams)[0] - value).abs() < 1e-6);
}
