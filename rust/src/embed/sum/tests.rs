use proptest::prelude::*;

use super::*;

/// What a reader would write first: one number after the other.
fn oracle(rows: &[Scaled<'_>]) -> Rounded {
    let mut sum = [0.0; DIMENSIONS];
    for (numbers, scale) in rows {
        for at in 0..DIMENSIONS {
            sum[at] += f32::from(i8::from_le_bytes([numbers[at]])) * scale;
        }
    }
    rounded(&sum)
}

fn wide(short: [u8; 32]) -> [u8; DIMENSIONS] {
    std::array::from_fn(|at| short[at % 32].wrapping_mul(u8::try_from(at / 32 + 1).unwrap()))
}

#[test]
fn nothing_sums_to_nothing() {
    assert_eq!(of(&[]), [0; DIMENSIONS]);
    assert_eq!(of(&[(&[7; DIMENSIONS], f32::INFINITY)]), [0; DIMENSIONS]);
}

proptest! {
    #[test]
    fn every_processor_sums_alike(rows in prop::collection::vec((any::<[u8; 32]>(), 1e-4_f32..1.0), 0..40)) {
        let rows: Vec<_> = rows.into_iter().map(|(short, scale)| (wide(short), scale)).collect();
        let rows: Vec<Scaled<'_>> = rows.iter().map(|(numbers, scale)| (numbers, *scale)).collect();
        prop_assert_eq!(of(&rows), oracle(&rows));
        prop_assert_eq!(plain(&rows), oracle(&rows));
    }
}
