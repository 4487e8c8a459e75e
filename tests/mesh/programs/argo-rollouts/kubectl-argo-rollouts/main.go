// Command kubectl-argo-rollouts is the plugin of kubectl with the commands that our pages show. Argo Rollouts' own program needs the files of
// its dashboard, which are not in the Go module.
package main

import (
	"os"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/abort"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/promote"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/set"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/options"
)

func main() {
	o := options.NewArgoRolloutsOptions(genericclioptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr})
	root := &cobra.Command{Use: "kubectl-argo-rollouts COMMAND", SilenceUsage: true, PersistentPreRunE: o.PersistentPreRunE}
	o.AddKubectlFlags(root)
	root.AddCommand(abort.NewCmdAbort(o), promote.NewCmdPromote(o), set.NewCmdSet(o))
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}
