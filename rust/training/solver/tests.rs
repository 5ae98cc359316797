use super::*;

fn rows() -> (Vec<Sparse>, Vec<bool>) {
    let mut random = Random::new(7);
    let mut rows = Vec::new();
    let mut positive = Vec::new();
    for _ in 0..400 {
        let (x, y) = (random.below(1000), random.below(1000));
        rows.push(vec![(0, x as f32 / 500.0 - 1.0), (1, y as f32 / 500.0 - 1.0)]);
        positive.push(x > y);
    }
    (rows, positive)
}

#[test]
fn a_plane_between_two_halves_is_found() {
    let (rows, positive) = rows();
    let plane = solve(&rows, &positive, &vec![1.0; rows.len()], &Settings::new(2, 10.0));
    let right = rows.iter().zip(&positive).filter(|(row, is)| (plane.score(row) > 0.0) == **is).count();
    assert!(right >= 396, "{right} of 400");
    assert!(plane.weights[0] > 0.0 && plane.weights[1] < 0.0);
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let (rows, positive) = rows();
    let ones = vec![1.0; rows.len()];
    let settings = Settings::new(2, 1.0);
    assert_eq!(solve(&rows, &positive, &ones, &settings), solve(&rows, &positive, &ones, &settings));
}

#[test]
fn a_row_without_importance_changes_nothing() {
    let (mut rows, mut positive) = rows();
    let mut importance = vec![1.0; rows.len()];
    let settings = Settings { tolerance: 1e-6, epochs: 2000, ..Settings::new(2, 0.1) };
    let without = solve(&rows, &positive, &importance, &settings);
    rows.push(vec![(0, 1.0)]);
    positive.push(false);
    importance.push(0.0);
    let with = solve(&rows, &positive, &importance, &settings);
    assert!((with.weights[0] - without.weights[0]).abs() < 1e-4);
}

#[test]
fn the_generator_stays_below_its_bound() {
    let mut random = Random::new(1);
    assert!((0..1000).all(|_| random.below(3) < 3));
    assert_eq!(random.below(0), 0);
}
