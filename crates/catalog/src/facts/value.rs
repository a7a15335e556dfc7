//! What a fact can say: dates as precise as they are known, numbers of parameters, tokens.

use chrono::NaiveDate;
use serde_json::Value as Json;
use std::fmt;
use std::str::FromStr;

/// A day, a month or a year: as much as is known. Dates sort as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// The year.
    pub year: u16,
    /// 1 to 12, where it is known.
    pub month: Option<u8>,
    /// 1 to 31, where it is known.
    pub day: Option<u8>,
}

impl Date {
    /// Whether what happened on this date may have happened on or after `start`: what is only
    /// known by its year may have happened on the last of December.
    pub fn may_be_since(self, start: Date) -> bool {
        let last = (self.year, self.month.unwrap_or(12), self.day.unwrap_or(31));
        last >= (start.year, start.month.unwrap_or(1), start.day.unwrap_or(1))
    }
}

impl FromStr for Date {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Date, Self::Err> {
        const WANTED: &str = "a date such as 2025, 2025-04 or 2025-04-28";
        let mut parts = text.split('-');
        let mut number = |digits: usize| match parts.next() {
            None => Ok(None),
            Some(part) if part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()) => {
                part.parse::<u16>().map(Some).map_err(|_| WANTED)
            }
            Some(_) => Err(WANTED),
        };
        let (year, month, day) = (number(4)?.ok_or(WANTED)?, number(2)?, number(2)?);
        let day_of = |month: u16, day: u16| {
            NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(day))
        };
        if parts.next().is_some() || day_of(month.unwrap_or(1), day.unwrap_or(1)).is_none() {
            return Err(WANTED);
        }
        Ok(Date { year, month: month.map(|m| m as u8), day: day.map(|d| d as u8) })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        for part in [self.month, self.day].into_iter().flatten() {
            write!(f, "-{part:02}")?;
        }
        Ok(())
    }
}

/// How many parameters, as published: `0.6B`, `1T`; `1T+` is at least so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parameters {
    /// The number.
    pub count: u64,
    /// Whether the source says "more than".
    pub or_more: bool,
}

/// Powers of ten behind the letters that follow a number of parameters, largest first.
const SCALES: [(char, u32); 4] = [('T', 12), ('B', 9), ('M', 6), ('K', 3)];

impl FromStr for Parameters {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Parameters, Self::Err> {
        const WANTED: &str = "parameters such as 350M, 0.6B or 1T+";
        let (text, or_more) = text.strip_suffix('+').map_or((text, false), |rest| (rest, true));
        let scale =
            SCALES.iter().find_map(|(letter, power)| Some((text.strip_suffix(*letter)?, power)));
        let (digits, power) = scale.ok_or(WANTED)?;
        let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = (1..=4).contains(&whole.len()) && rest.len() <= 3 && !digits.ends_with('.');
        if !fits || !digits_only(whole) || !digits_only(rest) {
            return Err(WANTED);
        }
        let number: u64 = format!("{whole}{rest}").parse().map_err(|_| WANTED)?;
        let count = number * 10u64.pow(power - rest.len() as u32);
        if count == 0 {
            return Err(WANTED);
        }
        Ok(Parameters { count, or_more })
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = SCALES.iter().find(|(_, power)| self.count >= 10u64.pow(*power));
        match scale {
            None => write!(f, "{}", self.count)?,
            Some((letter, power)) => {
                let thousandths = self.count / 10u64.pow(power - 3);
                let (whole, rest) = (thousandths / 1000, thousandths % 1000);
                let rest = format!(".{rest:03}");
                let rest = rest.trim_end_matches('0').trim_end_matches('.');
                write!(f, "{whole}{rest}{letter}")?;
            }
        }
        f.write_str(if self.or_more { "+" } else { "" })
    }
}

/// What a fact says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Words, a name, an address or a repository.
    Text(String),
    /// A date.
    Date(Date),
    /// A number of parameters.
    Parameters(Parameters),
    /// A number of tokens.
    Tokens(u64),
    /// Several words of a closed list.
    Words(Vec<String>),
    /// Names of variants, each with its repository.
    Named(Vec<(String, String)>),
    /// Yes or no.
    Flag(bool),
}

impl Value {
    /// As JSON: numbers as numbers, dates as text.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Text(text) => text.as_str().into(),
            Value::Date(date) => date.to_string().into(),
            Value::Parameters(parameters) => parameters.count.into(),
            Value::Tokens(count) => (*count).into(),
            Value::Words(words) => words.clone().into(),
            Value::Named(pairs) => {
                let pair = |(name, id): &(String, String)| (name.clone(), Json::from(id.as_str()));
                pairs.iter().map(pair).collect()
            }
            Value::Flag(flag) => (*flag).into(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Date(date) => write!(f, "{date}"),
            Value::Parameters(parameters) => write!(f, "{parameters}"),
            Value::Tokens(count) => write!(f, "{count}"),
            Value::Words(words) => f.write_str(&words.join(", ")),
            Value::Named(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(name, id)| format!("{name} {id}")).collect();
                f.write_str(&pairs.join(", "))
            }
            Value::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
        }
    }
}
