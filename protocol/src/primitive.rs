//! The elementary types (§4.2.5): nom parsers over `&[u8]`, and their writers onto a `Vec<u8>`.
//!
//! All parsers are "complete": what is not there is an error, since frames arrive whole. They are generic over the
//! error so that each layer reports a truncated field in its own terms.

use nom::IResult;
use nom::bytes::complete::take;
use nom::error::{ErrorKind, ParseError};

use crate::short_str::ShortStr;

/// Exactly `N` octets, by value. The one leaf under all integers: a fixed-size array keeps bounds checks to one each.
#[inline]
fn array<'a, const N: usize, E: ParseError<&'a [u8]>>(input: &'a [u8]) -> IResult<&'a [u8], [u8; N], E> {
    match input.split_first_chunk::<N>() {
        Some((octets, rest)) => Ok((rest, *octets)),
        None => Err(nom::Err::Error(E::from_error_kind(input, ErrorKind::Eof))),
    }
}

/// An octet: unsigned, 8 bits.
#[inline]
pub fn octet<'a, E: ParseError<&'a [u8]>>(input: &'a [u8]) -> IResult<&'a [u8], u8, E> {
    let (rest, [value]) = array(input)?;
    Ok((rest, value))
}

/// A short: unsigned, 16 bits.
#[inline]
pub fn short<'a, E: ParseError<&'a [u8]>>(input: &'a [u8]) -> IResult<&'a [u8], u16, E> {
    let (rest, octets) = array(input)?;
    Ok((rest, u16::from_be_bytes(octets)))
}

/// A long: unsigned, 32 bits.
#[inline]
pub fn long<'a, E: ParseError<&'a [u8]>>(input: &'a [u8]) -> IResult<&'a [u8], u32, E> {
    let (rest, octets) = array(input)?;
    Ok((rest, u32::from_be_bytes(octets)))
}

/// A long long: unsigned, 64 bits.
#[inline]
pub fn longlong<'a, E: ParseError<&'a [u8]>>(input: &'a [u8]) -> IResult<&'a [u8], u64, E> {
    let (rest, octets) = array(input)?;
    Ok((rest, u64::from_be_bytes(octets)))
}

/// A short string (§4.2.5.3): an octet of length, then that many octets.
#[inline]
pub fn shortstr<'a, E: ParseError<&'a [u8]>>(input: &'a [u8]) -> IResult<&'a [u8], ShortStr<'a>, E> {
    let (rest, length) = octet(input)?;
    let (rest, octets) = take(length)(rest)?;
    Ok((rest, ShortStr::from_counted(octets)))
}

/// A long string (§4.2.5.3): a long of length, then that many octets.
#[inline]
pub fn longstr<'a, E: ParseError<&'a [u8]>>(input: &'a [u8]) -> IResult<&'a [u8], &'a [u8], E> {
    let (rest, length) = long(input)?;
    take(length)(rest)
}

/// What a parser found, without nom's distinction of failures. Nothing here asks for more input, but some of nom's
/// combinators do when octets are missing, and that must not turn into a panic.
#[inline]
pub(crate) fn finish<T, E>(parsed: Result<T, nom::Err<E>>) -> Result<T, E>
where
    E: for<'a> ParseError<&'a [u8]>,
{
    parsed.map_err(|error| match error {
        nom::Err::Error(error) | nom::Err::Failure(error) => error,
        nom::Err::Incomplete(_) => E::from_error_kind(&[], ErrorKind::Eof),
    })
}

/// `N` bits in one octet, lowest first (§4.2.5.2); no method has more than eight in a row.
#[inline]
pub fn bits<'a, const N: usize, E: ParseError<&'a [u8]>>(input: &'a [u8]) -> IResult<&'a [u8], [bool; N], E> {
    const { assert!(N <= 8, "bits of one octet") };
    let (rest, octet) = octet(input)?;
    Ok((rest, std::array::from_fn(|bit| octet >> bit & 1 == 1)))
}

/// Writers: each appends the wire form of one value.
pub mod put {
    use crate::short_str::ShortStr;

    /// Appends an octet.
    #[inline]
    pub fn octet(out: &mut Vec<u8>, value: u8) {
        out.push(value);
    }

    /// Appends a short.
    #[inline]
    pub fn short(out: &mut Vec<u8>, value: u16) {
        out.extend_from_slice(&value.to_be_bytes());
    }

    /// Appends a long.
    #[inline]
    pub fn long(out: &mut Vec<u8>, value: u32) {
        out.extend_from_slice(&value.to_be_bytes());
    }

    /// Appends a long long.
    #[inline]
    pub fn longlong(out: &mut Vec<u8>, value: u64) {
        out.extend_from_slice(&value.to_be_bytes());
    }

    /// Appends a short string.
    #[inline]
    pub fn shortstr(out: &mut Vec<u8>, value: ShortStr<'_>) {
        out.push(value.length_octet());
        out.extend_from_slice(value.as_bytes());
    }

    /// Appends a long string; what exceeds 4 GiB - 1 is cut off, since its length has no wire form.
    #[inline]
    pub fn longstr(out: &mut Vec<u8>, value: &[u8]) {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        long(out, length);
        out.extend_from_slice(value.get(..length as usize).unwrap_or(value));
    }

    /// Appends up to eight bits as one octet, lowest first.
    #[inline]
    pub fn bits<const N: usize>(out: &mut Vec<u8>, values: [bool; N]) {
        const { assert!(N <= 8, "bits of one octet") };
        out.push(values.iter().rev().fold(0, |octet, &bit| octet << 1 | u8::from(bit)));
    }

    /// Appends a long that counts the octets which `content` appends after it.
    pub(crate) fn counted(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
        let at = out.len();
        long(out, 0);
        content(out);
        let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
        if let Some(slot) = out.get_mut(at..).and_then(|tail| tail.first_chunk_mut()) {
            *slot = length.to_be_bytes();
        }
    }
}
