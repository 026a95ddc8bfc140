package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/app"
)

func agentCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "agent",
		Short: "Replace the agent program in running amphorae, signed, without touching what serves",
		Long: `An agent can be replaced in place, where replacing whole amphorae (octavo image rollout) is more than is needed: HAProxy and
keepalived go on with the processes that they have. Amphorae run only what the operator signed: the public key is in
[octavo] agent_update_key, and reaches each amphora when it is made; the private key need not be on any controller.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(agentKey(), agentSign(), agentUpdate())
	return c
}

func agentKey() *cobra.Command {
	return &cobra.Command{
		Use:   "key FILE",
		Short: "Make the key that agent programs are signed with: FILE, and FILE.pub for [octavo] agent_update_key",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := app.MakeProgramKey(args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "Keep %s where no controller can read it. Set [octavo] agent_update_key = %s.pub on all controllers: amphorae that are made\n"+
				"from then on take what it signs.\n", args[0], args[0])
			return nil
		},
	}
}

func agentSign() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "sign OCTAVO-AGENT --key FILE",
		Short: "Sign an agent program; octavo agent update takes it, on another machine if need be",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return app.SignProgram(c.Context(), args[0], key, c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&key, "key", "", "the private key that octavo agent key made (required)")
	_ = c.MarkFlagRequired("key") // it is there: the line above says so
	return c
}

func agentUpdate() *cobra.Command {
	var o app.UpdateOptions
	c := &cobra.Command{
		Use:   "update OCTAVO-AGENT",
		Short: "Have the agents of all amphorae replaced by a signed program, while they serve",
		Long: `Uploads a signed agent program and has the controllers roll it out, some load balancers at a time. Each agent checks the
signature, becomes the program within the same process, and takes over the HAProxy that runs. A program that has not reported to a controller
within 15 seconds is ended, and the agent of the image comes back. The rollout stops when that happens, or when an agent refuses.

After a reboot an amphora starts the agent of its image, and becomes the wanted one again. New amphorae run the agent of their image: build and
upload a new one as well.`,
		Example: "  octavo agent update bin/octavo-agent --key operator.key --parallel 10",
		Args:    cobra.MaximumNArgs(1),
	}
	accountFlags(c, &o.Account)
	c.Flags().StringVar(&o.Key, "key", "", "sign it first, with this private key")
	rolloutFlags(c, &o.RolloutOptions)
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			o.File = args[0]
		}
		o.Out = c.OutOrStdout()
		return app.UpdateAgents(c.Context(), o)
	}
	return c
}
