//! Lines in blocks, so that to insert or remove lines moves those of a block, and not all that follow.

/// Lines of a new block. One that grows to twice as many is split.
const SIZE: usize = 512;

/// A sequence of lines. No block is empty.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocks: Vec<Vec<String>>,
    /// The number of the first line of each block.
    starts: Vec<usize>,
    len: usize,
}

impl Blocks {
    pub(super) fn new(lines: Vec<String>) -> Self {
        let mut new = Self { blocks: split(lines), ..Self::default() };
        new.count_from(0);
        new
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, at: usize) -> Option<&String> {
        let (block, offset) = self.place(at);
        self.blocks.get(block)?.get(offset)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut String> {
        let (block, offset) = self.place(at);
        self.blocks.get_mut(block)?.get_mut(offset)
    }

    /// The lines from `from` on.
    pub(super) fn iter_from(&self, from: usize) -> impl Iterator<Item = &str> + Clone {
        let (block, offset) = self.place(from);
        self.blocks.iter().skip(block).flatten().skip(offset).map(String::as_str)
    }

    /// Replaces lines by others. The lines that were replaced.
    pub(super) fn splice(&mut self, at: usize, count: usize, new: Vec<String>) -> Vec<String> {
        let (first, offset) = self.place(at);
        if let Some(block) = self.blocks.get_mut(first)
            && offset + count <= block.len()
            && (1..=2 * SIZE).contains(&(block.len() - count + new.len()))
        {
            let removed = block.splice(offset..offset + count, new).collect();
            self.count_from(first);
            return removed;
        }
        let end = self.blocks.len().min(self.place(at + count).0 + 1);
        let mut lines: Vec<String> = self.blocks.drain(first..end).flatten().collect();
        let removed = lines.splice(offset..offset + count, new).collect();
        self.blocks.splice(first..first, split(lines));
        self.count_from(first);
        removed
    }

    /// The block of a line, and its place there; that of the end is behind the last line of the last block.
    fn place(&self, at: usize) -> (usize, usize) {
        let block = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        (block, at - self.starts.get(block).copied().unwrap_or_default())
    }

    /// Numbers the lines anew from a block on.
    fn count_from(&mut self, block: usize) {
        self.starts.truncate(block);
        let before = block.checked_sub(1).and_then(|before| Some(self.starts.get(before)? + self.blocks[before].len()));
        self.len = before.unwrap_or_default();
        for block in &self.blocks[block..] {
            self.starts.push(self.len);
            self.len += block.len();
        }
    }
}

fn split(lines: Vec<String>) -> Vec<Vec<String>> {
    let mut lines = lines.into_iter().peekable();
    let mut blocks = Vec::new();
    while lines.peek().is_some() {
        blocks.push(lines.by_ref().take(SIZE).collect());
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_act_as_one_vector() {
        let numbers = |range: std::ops::Range<usize>| range.map(|number| number.to_string()).collect::<Vec<_>>();
        let mut vector = numbers(0..SIZE * 5 / 2);
        let mut blocks = Blocks::new(vector.clone());
        let mut state = 1_usize;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for round in 0..3000 {
            let at = random(vector.len() + 1);
            let large = if random(50) == 0 { SIZE * 3 } else { 4 };
            let count = random(large).min(vector.len() - at);
            let new = numbers(round..round + random(large));
            let removed: Vec<String> = vector.splice(at..at + count, new.clone()).collect();
            assert_eq!(blocks.splice(at, count, new), removed, "round {round}");
            assert_eq!((blocks.len(), blocks.is_empty()), (vector.len(), vector.is_empty()), "round {round}");
            let from = random(vector.len() + 1);
            assert_eq!(blocks.get(from), vector.get(from), "round {round}");
            assert!(blocks.iter_from(from).eq(vector[from..].iter()), "round {round}");
        }
        let all = vector.len();
        assert_eq!(blocks.splice(0, all, vec![]), vector);
        assert_eq!((blocks.len(), blocks.get(0)), (0, None));
        assert_eq!(blocks.splice(0, 0, numbers(0..1)), Vec::<String>::new());
        assert_eq!(blocks.get(0).map(String::as_str), Some("0"));
    }
}
