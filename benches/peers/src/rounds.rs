//! What is computed from the rounds of a duel. Numbers in, numbers out.

/// Two contenders by turns: the value of each in each round.
#[derive(Default)]
pub struct Series {
    rounds: Vec<(f64, f64)>,
}

/// What a series comes to.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub ours: f64,
    pub peer: f64,
    /// The median of the ratios of the rounds, not the ratio of the medians: what disturbs a round
    /// disturbs both.
    pub ratio: f64,
}

impl Series {
    pub fn push(&mut self, ours: f64, peer: f64) {
        self.rounds.push((ours, peer));
    }

    pub fn outcome(&self) -> Outcome {
        let column = |pick: fn(&(f64, f64)) -> f64| median(self.rounds.iter().map(pick).collect());
        Outcome { ours: column(|r| r.0), peer: column(|r| r.1), ratio: column(|r| r.0 / r.1) }
    }
}

pub fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value below which that part of the values lies; between two values, their mean by distance.
pub fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    assert!(!values.is_empty(), "there is no quantile of nothing");
    values.sort_by(f64::total_cmp);
    let at = part * (values.len() - 1) as f64;
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0]), 3.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_quantile_lies_where_it_says() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(values.clone(), 0.99), 99.0);
        assert_eq!(quantile(values.clone(), 0.0), 0.0);
        assert_eq!(quantile(values, 1.0), 100.0);
    }

    #[test]
    fn a_disturbed_round_disturbs_both_and_not_the_ratio() {
        let mut series = Series::default();
        for disturbance in [1.0, 1.0, 50.0, 7.0, 3.0] {
            series.push(2.0 * disturbance, 4.0 * disturbance);
        }
        assert_eq!(series.outcome(), Outcome { ours: 6.0, peer: 12.0, ratio: 0.5 });
    }
}
