use proptest::array::{uniform4, uniform32};
use proptest::prelude::*;

use super::{Kernel, ROWS, Vector, dot};
use crate::embed::DIMENSIONS;
use crate::near::sign::Code;

/// Every variant that this machine can run.
fn kernels() -> Vec<Kernel> {
    vec![Kernel::Plain, Kernel::detect()]
}

fn within(kernel: Kernel, codes: &[Code], query: &Code, reach: u32) -> Vec<usize> {
    let mut found = [0; ROWS];
    let count = kernel.within(codes, query, reach, &mut found);
    found[..count].iter().map(|place| usize::from(*place)).collect()
}

/// The same bit by bit.
fn within_by_hand(codes: &[Code], query: &Code, reach: u32) -> Vec<usize> {
    let bit = |code: &Code, nth: usize| code[nth / 64] >> (nth % 64) & 1;
    let differing = |code: &Code| (0..DIMENSIONS).filter(|nth| bit(code, *nth) != bit(query, *nth)).count();
    (0..codes.len()).filter(|place| differing(&codes[*place]) <= reach as usize).collect()
}

fn vectors() -> impl Strategy<Value = Vector> {
    uniform32(any::<[i8; 8]>()).prop_map(|parts| std::array::from_fn(|nth| parts[nth / 8][nth % 8]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_variant_finds_the_codes_that_a_count_of_bits_finds(
        codes in prop::collection::vec(uniform4(any::<u64>()), 0..80),
        query in uniform4(any::<u64>()),
        reach in 0_u32..=256,
    ) {
        for kernel in kernels() {
            prop_assert_eq!(within(kernel, &codes, &query, reach), within_by_hand(&codes, &query, reach));
        }
    }

    #[test]
    fn every_variant_computes_the_product_that_wide_numbers_give(one in vectors(), other in vectors()) {
        let wide: f64 = one.iter().zip(&other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum();
        for kernel in kernels() {
            prop_assert!((f64::from(kernel.dot(&one, &other)) - wide).abs() < 0.5);
        }
    }
}

#[test]
fn the_largest_product_fits() {
    let least = [i8::MIN; DIMENSIONS];
    assert_eq!(dot(&least, &least), 128 * 128 * 256);
    assert!(kernels().iter().all(|kernel| kernel.dot(&least, &least) == 128 * 128 * 256));
}

#[test]
fn a_full_block_of_codes_that_are_all_near_is_found_whole() {
    let codes = vec![[u64::MAX; 4]; ROWS];
    for kernel in kernels() {
        assert_eq!(within(kernel, &codes, &[u64::MAX; 4], 0), (0..ROWS).collect::<Vec<_>>());
        assert_eq!(within(kernel, &codes, &[0; 4], 255), Vec::<usize>::new());
    }
}

#[test]
fn a_machine_with_avx2_uses_it() {
    #[cfg(target_arch = "x86_64")]
    assert_eq!(Kernel::detect() != Kernel::Plain, std::is_x86_feature_detected!("avx2"));
}
