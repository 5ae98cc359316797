//! Where each byte of a text that was rewritten comes from.

/// Places where the distance between a text and its original changes, in order.
#[derive(Default)]
pub(super) struct Offsets(Vec<(usize, usize)>);

impl Offsets {
    /// Say that what follows at `at` comes from `origin`.
    pub(super) fn mark(&mut self, at: usize, origin: usize) {
        if self.origin(at) != origin {
            self.0.push((at, origin));
        }
    }

    /// The original place of the byte at `at`.
    pub(super) fn origin(&self, at: usize) -> usize {
        // Marks come in order, so the last one answers most questions while the map is being made.
        let mark = match self.0.last() {
            Some(last) if last.0 <= at => Some(last),
            _ => {
                self.0.partition_point(|mark| mark.0 <= at).checked_sub(1).and_then(|index| self.0.get(index))
            }
        };
        mark.map_or(at, |(text, origin)| origin + (at - text))
    }

    /// From where on the text is an unbroken copy of the original.
    pub(super) fn copied_from(&self) -> usize {
        self.0.last().map_or(0, |mark| mark.0)
    }
}
