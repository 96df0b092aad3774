//! Which faults a round injects into which fleet: a function of the seed and the round's number.

use partita_proof::Tables;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use crate::fault::{Fault, Scene};

/// The generator of a round's decisions.
pub(crate) type Dice = Xoshiro256PlusPlus;

/// Most faults of one round.
const FAULTS_MAX: usize = 4;

/// Which services serve a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fleet {
    /// Both tables are written by everybody.
    Dual,
    /// Two with the flag, one without, and a program that knows nothing of Partita.
    Mixed,
}

impl Fleet {
    /// Who it is, in the summary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dual => "every process with the flag",
            Self::Mixed => "one without the flag, and a foreign writer",
        }
    }

    /// The flag of each service.
    pub(crate) fn flags(self) -> &'static [bool] {
        match self {
            Self::Dual => &[true, true, true],
            Self::Mixed => &[true, false, true],
        }
    }

    /// What must be in which table when nothing else was done.
    pub(crate) fn tables(self) -> Tables {
        match self {
            Self::Dual => Tables::Equal,
            Self::Mixed => Tables::Dual,
        }
    }

    /// Whether another program writes to legacy.
    pub(crate) fn has_foreigner(self) -> bool {
        match self {
            Self::Dual => false,
            Self::Mixed => true,
        }
    }
}

/// One round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoundPlan {
    /// Counted from 0.
    pub(crate) number: u32,
    /// What the load and the faults draw from.
    pub(crate) seed: u64,
    pub(crate) fleet: Fleet,
    pub(crate) scene: Scene,
    /// In the order in which they come.
    pub(crate) faults: Vec<Fault>,
}

/// All rounds of a seed, one after the other, without end: each fault alone or with others, all of them before any of
/// them again.
pub(crate) struct Plans {
    seed: u64,
    number: u32,
    deck: Vec<Fault>,
    all: Vec<Fault>,
    dice: Dice,
}

impl Plans {
    /// Over these faults; none: over all.
    pub(crate) fn new(seed: u64, only: &[Fault]) -> Self {
        let all = if only.is_empty() { Fault::ALL.to_vec() } else { only.to_vec() };
        Self { seed, number: 0, deck: Vec::new(), all, dice: Dice::seed_from_u64(seed) }
    }

    /// Whether every fault has had its turn once more.
    pub(crate) fn is_through(&self) -> bool {
        self.deck.is_empty()
    }

    fn shuffle(&mut self) {
        self.deck = self.all.clone();
        for last in (1..self.deck.len()).rev() {
            self.deck.swap(last, self.dice.random_range(0..=last));
        }
    }

    /// The next fault, and others that can be had on the same scene.
    fn draw(&mut self) -> (Scene, Vec<Fault>) {
        if self.deck.is_empty() {
            self.shuffle();
        }
        let wanted = self.dice.random_range(1..=FAULTS_MAX);
        let mut faults: Vec<Fault> = self.deck.pop().into_iter().collect();
        let scene = faults.first().map_or(Scene::Usual, |fault| fault.scene());
        while faults.len() < wanted
            && let Some(at) = self.deck.iter().rposition(|fault| fault.scene() == scene)
        {
            faults.push(self.deck.remove(at));
        }
        (scene, faults)
    }
}

impl Iterator for Plans {
    type Item = RoundPlan;

    fn next(&mut self) -> Option<RoundPlan> {
        let (scene, faults) = self.draw();
        let fleet = match (scene, self.dice.random_bool(0.5)) {
            (Scene::Moving, _) | (_, false) => Fleet::Mixed,
            (Scene::Usual | Scene::Narrow | Scene::Old | Scene::Skewed | Scene::Tight, true) => Fleet::Dual,
        };
        let number = self.number;
        self.number += 1;
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(u64::from(number));
        Some(RoundPlan { number, seed, fleet, scene, faults })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_the_same_rounds_again_and_another_seed_says_others() {
        let rounds = |seed| Plans::new(seed, &[]).take(30).collect::<Vec<_>>();
        assert_eq!(rounds(879), rounds(879));
        assert_ne!(rounds(879), rounds(880));
    }

    #[test]
    fn every_fault_comes_before_any_comes_again() {
        let mut plans = Plans::new(7, &[]);
        let mut seen = Vec::new();
        loop {
            seen.extend(plans.next().unwrap().faults);
            if plans.is_through() {
                break;
            }
        }
        seen.sort();
        let mut all = Fault::ALL.to_vec();
        all.sort();
        assert_eq!(seen, all);
    }

    #[test]
    fn the_seed_of_ci_leads_every_kind_of_fleet_into_faults() {
        let mut plans = Plans::new(879, &[]);
        let mut fleets = Vec::new();
        loop {
            fleets.push(plans.next().unwrap().fleet);
            if plans.is_through() {
                break;
            }
        }
        assert!(fleets.contains(&Fleet::Dual) && fleets.contains(&Fleet::Mixed), "{fleets:?}");
    }

    #[test]
    fn faults_of_one_round_share_its_scene() {
        for round in Plans::new(3, &[]).take(60) {
            assert!(round.faults.iter().all(|fault| fault.scene() == round.scene), "{round:?}");
        }
    }
}
