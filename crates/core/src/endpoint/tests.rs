mod grammar;
mod nested;
mod sockets;
