// Package attr reads the declaration of a resource's attributes from its struct tags, so that one line in package lb
// says everything about an attribute: its name on the wire (which is its column and its name in errors), who may write
// it, its default, its range and its documentation.
//
// A field is declared as
//
//	ConnectionLimit int `json:"connection_limit" attr:"rw,default=-1,min=-1" doc:"Connections allowed at once, -1 for no limit."`
//
// The attr tag is a comma separated list. Access comes first: "r" (set by the service), "c" (on create only), "rw" (on
// create and update), "w" (create and update, never shown). Then, in any order: required, null (may be null; the field
// is then a pointer, slice or map), default=V, min=N, max=N (of a number, or of a string's length in characters),
// enum=A|B|C, re=NAME (a named pattern), kind=KIND (uuid, ip, cidr, url, url_path ...: a named check),
// ref=RESOURCE (the id of another object, resolved with the caller's rights), since=2.N (the API version that brought it).
package attr
