// Package network is localcloud's Neutron: the part of the v2.0 API that the load balancing service and the ordinary
// clients use, on top of package fabric.
//
// What the API stores is what is wanted; it is the truth. After each change the objects concerned are looked up again and
// made so in the kernel (see applier), many at a time when many come at once, and again later if that fails: a request
// never depends on what another one found half done.
package network
