// Package migrations holds the schema's steps, one file each, named NUMBER_what.sql and applied in order.
//
// One text serves all databases: it is written in the SQL that they share, with these tokens for what they do not.
//
//	${id}      an identifier of up to 36 characters
//	${str}     a string of up to 255 characters, indexable
//	${text}    a string without bound; lists, maps and objects are JSON texts
//	${int}     a 64 bit integer
//	${float}   a floating point number
//	${bool}    a truth value, written ${true} and ${false} in defaults
//	${time}    a time in UTC with microseconds
//	${blob}    bytes
//	${serial}  a primary key that counts up by itself
//	${table}   what follows the closing bracket of CREATE TABLE
//
// Statements end with a semicolon at a line's end. Names are quoted with double quotes where they are reserved words.
// MariaDB and MySQL commit every statement that changes the schema at once, so a step that was cut short is run again:
// what exists already is passed over there, and each statement must make sense by itself.
//
// A published step is never edited. A new attribute is a line in package lb and a step like
//
//	ALTER TABLE listener ADD COLUMN hsts_max_age ${int};
package migrations

import "embed"

// Files are the steps.
//
//go:embed *.sql
var Files embed.FS
