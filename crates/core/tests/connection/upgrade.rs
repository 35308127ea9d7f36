//! STARTTLS: check, then write, then shake hands.
