# Two commands are enough: `make run` and `make test`. The rest is what they are made of.
SHELL := /bin/bash
export GOFLAGS ?= -buildvcs=false
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
DATA_DIR ?= /var/lib/octavo
LISTEN ?= 127.0.0.1:9876
AREA ?= start

.PHONY: run test check build bench generate deps-run deps-test test-unit test-race test-versions test-e2e test-image test-vault test-openstack

# Installs what is missing, builds, and shows a load balancer that serves two members. Ctrl-C ends it and leaves nothing.
run: deps-run build
	bin/octavo standalone --demo --data-dir $(DATA_DIR) --listen $(LISTEN)

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/octavo ./cmd/octavo-agent ./cmd/octavo-init

# Everything that CI runs.
test: deps-test check build test-unit test-e2e

check:
	packaging/check

test-unit:
	go test -timeout 15m $$(go list ./... | grep -v -e /test/e2e -e /test/image -e /test/openstack)

# The race detector over the parts with the most concurrency; minutes.
test-race:
	go test -race -timeout 20m ./lb/... ./api/... ./store/... ./worker/... ./health/... ./identity/...

# Lets every HAProxy and keepalived that Debian and Ubuntu have judge what is written for it. Needs root and a mirror.
VERSIONS_DIR ?= $(HOME)/.cache/octavo/versions
test-versions: deps-test
	packaging/haproxy-versions $(VERSIONS_DIR)
	OCTAVO_VERSIONS=$(VERSIONS_DIR) go test -count=1 -timeout 15m -run 'EveryVersion|Golden|JudgeSaysNo' ./haproxy ./keepalived ./agent/proxy

# The product as its users run it: the two binaries, real clients, real traffic. Needs root.
test-e2e: build
	OCTAVO_BIN=$(CURDIR)/bin go test -count=1 -timeout 25m ./test/e2e/...

# The amphora image in emulated machines: not in `make test`, for it takes a mirror of Debian and minutes of emulation. Needs root.
test-image:
	packaging/deps image
	go test -count=1 -v -timeout 20m ./test/image

# Tenants' certificates in a real Vault, which is built from its source: not in `make test`, for that takes minutes.
test-vault: build
	go build -tags vault -modfile=tools/vault.mod -o bin/vault-for-tests ./test/vault
	OCTAVO_VAULT=$(CURDIR)/bin/vault-for-tests go test -count=1 -run 'TestVault|TestProbe' ./secrets/keymanager
	OCTAVO_VAULT=$(CURDIR)/bin/vault-for-tests OCTAVO_BIN=$(CURDIR)/bin go test -count=1 -run TestCertificatesFromVault ./test/e2e

# The deployment guide on a real OpenStack, made of Debian's packages on this machine (test/openstack/README.md). Needs root,
# 6 GB of memory, and a quarter of an hour the first time.
test-openstack: deps-test build
	packaging/deps image
	test/openstack/run

# make bench AREA=start|api|store|dataplane|health prints a table and writes bench/results/AREA.json.
bench: deps-test build
	OCTAVO_BIN=$(CURDIR)/bin go run ./bench -area $(AREA) -out bench/results

generate:
	go generate ./...

deps-run:
	packaging/deps run

deps-test:
	packaging/deps test
