//! Pages in floats that are filled with chosen positions, slot by slot.

use super::element::{Cached, KvNumber};
use super::store::{KvLayout, PANEL, in_block, in_panel, key_scale, panel_scale};
use crate::lanes::{Lanes, WIDE};

/// A page of one head that is being filled. Slots beyond the filled ones hold any numbers.
#[derive(Default)]
pub(super) struct Gathered {
    /// As stored, see [`super::KvStore`].
    pub numbers: Vec<f32>,
    /// Slots that are filled.
    pub filled: usize,
}

impl Gathered {
    /// Room for a page of this layout, none of it filled.
    pub fn begin(&mut self, layout: &KvLayout) {
        self.numbers.resize(layout.head_len(), 0.0);
        self.filled = 0;
    }

    /// Adds what is stored in slot `from` of a page of one head.
    #[inline(always)]
    pub fn push<L: Lanes<WIDE>, E: KvNumber>(
        &mut self,
        lanes: L,
        layout: &KvLayout,
        head: Cached<E>,
        from: usize,
    ) {
        let to = self.filled;
        self.filled += 1;
        for d in (0..layout.value_width()).step_by(WIDE) {
            let part = &head.numbers[in_panel(layout, from, d)..];
            let part = part.first_chunk().expect("whole vectors");
            let scale = E::scale(lanes, head.scales, panel_scale(layout, from, d));
            let place = &mut self.numbers[in_panel(layout, to, d)..];
            let place = place.first_chunk_mut().expect("whole vectors");
            lanes.store(E::load(lanes, part, scale), place);
        }
        if layout.latent {
            return;
        }
        for first in (0..layout.k_dim).step_by(PANEL) {
            let scale = E::scale(lanes, head.scales, key_scale(layout, from, first));
            for d in first..layout.k_dim.min(first + PANEL) {
                // Sixteen positions lie together.
                let line = &head.numbers[in_block(layout, from / WIDE * WIDE, d)..];
                let line = line.first_chunk().expect("a block of positions");
                let number = lanes.to_array(E::load(lanes, line, scale))[from % WIDE];
                self.numbers[in_block(layout, to, d)] = number;
            }
        }
    }
}
