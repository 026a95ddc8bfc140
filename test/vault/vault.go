//go:build vault

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"

	log "github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/command/server"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	logger := log.New(&log.LoggerOptions{Output: os.Stderr, Level: log.Warn})
	storage, err := inmem.NewInmem(nil, logger)
	check(err)
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, Logger: logger, DisableMlock: true,
		LogicalBackends:    map[string]logical.Factory{"kv": kv.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory},
		BuiltinRegistry:    builtins{},
		RawConfig:          &server.Config{SharedConfig: &configutil.SharedConfig{}}, // failed logins are counted by its settings
	})
	check(err)
	ctx := context.Background()
	init, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}, RecoveryConfig: nil})
	check(err)
	_, err = core.Unseal(init.SecretShares[0])
	check(err)
	l, err := net.Listen("tcp", os.Args[1])
	check(err)
	fmt.Printf("http://%s %s %s\n", l.Addr(), init.RootToken, hex.EncodeToString(init.SecretShares[0]))
	check(http.Serve(l, vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}})))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// builtins are the plugins that this server has; Vault's own list brings in every cloud's client.
type builtins struct{}

func (builtins) Contains(name string, kind consts.PluginType) bool {
	return kind == consts.PluginTypeSecrets && name == "kv" || kind == consts.PluginTypeCredential && name == "approle"
}

func (b builtins) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	return func() (interface{}, error) { return nil, nil }, b.Contains(name, kind)
}

func (builtins) Keys(consts.PluginType) []string { return nil }

func (builtins) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}
