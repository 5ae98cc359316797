//! A linear solver whose result is the same to the byte on every machine: sequential IEEE arithmetic only.
//!
//! Dual coordinate descent for the L2-regularised squared-hinge support vector machine (Hsieh et al., 2008).
//! It needs neither `exp` nor `log`, whose last bits differ between C libraries.

#[cfg(test)]
mod tests;

/// One row: (feature, value), each feature at most once.
pub type Sparse = Vec<(u32, f32)>;

/// How to solve.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Number of features; each feature of a row is below it.
    pub dimensions: usize,
    /// What an error costs against the size of the weights; larger fits closer.
    pub cost: f64,
    /// Passes over the rows at most.
    pub epochs: usize,
    /// Stop when no row in a pass could still move its gradient by more than this.
    pub tolerance: f64,
    /// Seed of the order of the rows.
    pub seed: u64,
}

impl Settings {
    /// Settings that suit a few ten thousand rows of text.
    #[must_use]
    pub const fn new(dimensions: usize, cost: f64) -> Self {
        Self { dimensions, cost, epochs: 60, tolerance: 0.05, seed: 0x5eed }
    }
}

/// A plane: positive on the side of the positive rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// One per feature.
    pub weights: Vec<f64>,
    /// Added to every score.
    pub bias: f64,
}

impl Linear {
    /// The signed distance of a row, in units of the margin.
    #[must_use]
    pub fn score(&self, row: &[(u32, f32)]) -> f64 {
        self.bias
            + row.iter().map(|&(index, value)| self.weights[index as usize] * f64::from(value)).sum::<f64>()
    }
}

/// Fit a plane between the rows that are `positive` and the others; `importance` multiplies a row's cost.
///
/// The three slices have the same length, and features stay below `settings.dimensions`.
#[must_use]
pub fn solve(rows: &[Sparse], positive: &[bool], importance: &[f32], settings: &Settings) -> Linear {
    let mut plane = Linear { weights: vec![0.0; settings.dimensions], bias: 0.0 };
    let mut alphas = vec![0.0_f64; rows.len()];
    let mut order: Vec<usize> = (0..rows.len()).filter(|&row| importance[row] > 0.0).collect();
    // Half the inverse of the row's cost (the squared hinge's share of the diagonal), and the whole diagonal.
    let damping: Vec<f64> =
        importance.iter().map(|&weight| 0.5 / (settings.cost * f64::from(weight))).collect();
    let diagonal: Vec<f64> = rows.iter().zip(&damping).map(|(row, damp)| squared_norm(row) + damp).collect();
    let mut random = Random::new(settings.seed);
    for _ in 0..settings.epochs {
        random.shuffle(&mut order);
        let mut worst = 0.0_f64;
        for &at in &order {
            let sign = if positive[at] { 1.0 } else { -1.0 };
            let gradient = sign * plane.score(&rows[at]) - 1.0 + damping[at] * alphas[at];
            let projected = if alphas[at] == 0.0 { gradient.min(0.0) } else { gradient };
            worst = worst.max(projected.abs());
            let alpha = (alphas[at] - gradient / diagonal[at]).max(0.0);
            let step = (alpha - alphas[at]) * sign;
            alphas[at] = alpha;
            move_plane(&mut plane, &rows[at], step);
        }
        if worst < settings.tolerance {
            break;
        }
    }
    plane
}

fn move_plane(plane: &mut Linear, row: &[(u32, f32)], step: f64) {
    if step == 0.0 {
        return;
    }
    plane.bias += step;
    for &(index, value) in row {
        plane.weights[index as usize] += step * f64::from(value);
    }
}

/// The bias is a feature with the value 1.
fn squared_norm(row: &[(u32, f32)]) -> f64 {
    1.0 + row.iter().map(|&(_, value)| f64::from(value) * f64::from(value)).sum::<f64>()
}

/// `SplitMix64` (Steele et al., 2014): small, seeded, and ours, so that no crate's update changes the weights.
pub struct Random(u64);

impl Random {
    /// A sequence that depends on nothing but `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// One of `items`, which must not be empty.
    pub fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }

    /// Put `items` in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}
