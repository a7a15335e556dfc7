//! How a budget of tokens is divided.

/// What each gets of `budget`, given what each could use, those first that have waited longest.
///
/// Nobody gets more than another who could use more, but for one token; nothing is left while
/// somebody could use it. Where there are fewer tokens than there are takers, the first get one.
pub fn shares(needs: &[usize], budget: usize) -> Vec<usize> {
    let mut takers: Vec<usize> = (0..needs.len().min(budget)).collect();
    takers.sort_by_key(|&taker| needs[taker]);
    let (mut shares, mut left) = (vec![0; needs.len()], budget);
    for (index, &taker) in takers.iter().enumerate() {
        shares[taker] = needs[taker].min(left / (takers.len() - index));
        left -= shares[taker];
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_one_leaves_is_the_others() {
        assert_eq!(shares(&[100, 3, 100], 23), [10, 3, 10]);
        assert_eq!(shares(&[100, 3], 500), [100, 3]);
        assert_eq!(shares(&[5, 5, 5], 2), [1, 1, 0]);
        assert!(shares(&[], 7).is_empty());
    }

    proptest! {
        #[test]
        fn shares_are_fair_and_nothing_is_wasted(
            needs in prop::collection::vec(1..200usize, 0..12),
            budget in 0..600usize,
        ) {
            let shares = shares(&needs, budget);
            prop_assert_eq!(shares.iter().sum::<usize>(), budget.min(needs.iter().sum()));
            for (share, need) in shares.iter().zip(&needs) {
                prop_assert!(share <= need);
                let most = *shares.iter().max().unwrap();
                prop_assert!(share == need || share + 1 >= most, "{:?}", shares);
            }
        }
    }
}
