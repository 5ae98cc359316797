use super::{code, reach};
use crate::embed::{DIMENSIONS, Embedding};
use crate::near::tests::Noise;

fn differing(one: &Embedding, other: &Embedding) -> u32 {
    code(one).iter().zip(code(other)).map(|(one, other)| (one ^ other).count_ones()).sum()
}

#[test]
fn a_bit_stands_for_a_number_below_zero() {
    let mut numbers = [0; DIMENSIONS];
    (numbers[0], numbers[1], numbers[64], numbers[255]) = (-1, 127, -128, -5);
    assert_eq!(code(&Embedding(numbers)), [1, 1, 0, 1 << 63]);
}

#[test]
fn equal_directions_may_differ_in_no_bit_and_any_two_in_all() {
    assert_eq!(reach(1.0), 0);
    assert_eq!(reach(-1.0), 256);
    assert_eq!(reach(f32::MAX), 0);
}

#[test]
fn a_lower_floor_reaches_further() {
    let floors = [1.0, 0.99, 0.95, 0.92, 0.85, 0.7, 0.6, 0.3, 0.0, -0.5, -1.0];
    assert!(floors.windows(2).all(|pair| reach(pair[0]) <= reach(pair[1])));
}

#[test]
fn the_reach_is_no_less_than_what_kept_every_measured_pair() {
    // Pairs of questions in the distilled table, over ten thousand: at 0.92 and more none differed in more than 54
    // bits, at 0.85 one in ten thousand in more than 72.
    assert!(reach(0.92) >= 54);
    assert!(reach(0.85) >= 72);
}

#[test]
fn no_pair_that_is_near_enough_is_out_of_reach() {
    let mut noise = Noise(11);
    for floor in [0.6, 0.7, 0.85, 0.92, 0.98] {
        for _ in 0..2_000 {
            let one = noise.vector();
            let (one, other) =
                (Embedding::from_floats(&one), Embedding::from_floats(&noise.beside(&one, floor)));
            assert!(differing(&one, &other) <= reach(floor), "{floor}");
        }
    }
}

#[test]
fn most_pairs_that_have_nothing_in_common_are_out_of_reach() {
    let mut noise = Noise(12);
    let mut pair = || differing(&noise.embedding(), &noise.embedding());
    let within = (0..2_000).filter(|_| pair() <= reach(0.85)).count();
    assert!(within < 10, "{within} of 2000");
}
