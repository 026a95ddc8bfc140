// Package cloud makes what package plan wants true in an OpenStack cloud: ports, security groups, instances. Everything
// finds before it makes, so that every call may be repeated, also after its answer was lost; deleting what is not there
// succeeds.
//
// All errors are *Error, with a Kind that tells what to do about it.
package cloud
