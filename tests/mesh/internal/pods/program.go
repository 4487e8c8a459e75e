package pods

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"mooring.dev/tests/mesh/internal/forward"
	"mooring.dev/tests/mesh/internal/kube"
	"mooring.dev/tests/mesh/internal/process"
	"mooring.dev/tests/mesh/internal/testenv"
	"mooring.dev/tests/mesh/internal/wait"
)

// echoImage is in the name of the image of Gateway API's own echo server, whose program is echo-basic.
const echoImage = "/gateway-api/echo-basic:"

// echoPorts are the ports that the program listens on, with the variables that name others.
var echoPorts = []struct {
	number    int32
	variables []string
}{
	{3000, []string{"HTTP_PORT", "TCP_PORT"}},
	{3001, []string{"H2C_PORT"}},
	{8443, []string{"HTTPS_PORT", "TLS_PORT"}},
}

// IsEchoBasic reports whether the image of the pod's container is Gateway API's own echo server.
func IsEchoBasic(spec *corev1.PodSpec) bool {
	return strings.Contains(spec.Containers[0].Image, echoImage)
}

// RunEchoBasic makes the pod run echo-basic, with the variables and Secrets of its only container. The program binds its ports on
// every address, so each pod's program gets its own ports, and connections to the pod's address are forwarded there. The files of
// the pod go to dir.
func (p *Pod) RunEchoBasic(env *testenv.Env, client *kube.Client, dir string, spec *corev1.PodSpec) {
	for _, port := range echoPorts {
		declared := func(p corev1.ContainerPort) bool { return p.ContainerPort == port.number }
		if !slices.ContainsFunc(p.Ports, declared) {
			p.Ports = append(p.Ports, corev1.ContainerPort{ContainerPort: port.number})
		}
	}
	p.Log = &Log{}
	p.Program = func() ([]Server, error) {
		name := p.Namespace + "." + p.Name
		mounts, err := mountSecrets(client, filepath.Join(dir, name), p.Namespace, spec)
		if err != nil {
			return nil, err
		}
		own, variables := map[int32]int{}, p.environment(spec.Containers[0].Env, mounts)
		for _, port := range echoPorts {
			own[port.number] = env.NextPort()
			for _, variable := range port.variables {
				variables = append(variables, fmt.Sprintf("%s=%d", variable, own[port.number]))
			}
		}
		program, err := env.Processes.Start(dir, name, []string{env.Program("echo-basic")},
			process.WithEnv(variables...), process.WithOutput(p.Log))
		if err != nil {
			return nil, err
		}
		servers := []Server{processServer{program}}
		for number, port := range own {
			f, err := forward.Start(fmt.Sprintf("%s:%d", p.IP, number), fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				return servers, err
			}
			servers = append(servers, forwarderServer{f})
		}
		return servers, awaitPort(program, own[echoPorts[0].number])
	}
}

func awaitPort(program *process.Process, port int) error {
	return wait.Until(program.Name+" listens", func() error {
		if err := program.Exited(); err != nil {
			return wait.Permanent(err)
		}
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
}

// environment returns the variables of a container as a kubelet resolves them. A path in a mounted folder becomes the path of the
// file on this machine.
func (p *Pod) environment(variables []corev1.EnvVar, mounts map[string]string) []string {
	var env []string
	for _, v := range variables {
		value := v.Value
		if v.ValueFrom != nil && v.ValueFrom.FieldRef != nil {
			switch v.ValueFrom.FieldRef.FieldPath {
			case "metadata.name":
				value = p.Name
			case "metadata.namespace":
				value = p.Namespace
			}
		}
		for mount, dir := range mounts {
			if file, ok := strings.CutPrefix(value, mount+"/"); ok {
				value = filepath.Join(dir, file)
			}
		}
		env = append(env, v.Name+"="+value)
	}
	return env
}

// mountSecrets writes the files of the Secrets that the only container of a pod mounts. It returns the folder for each mount path.
func mountSecrets(client *kube.Client, dir, namespace string, spec *corev1.PodSpec) (map[string]string, error) {
	mounts := map[string]string{}
	for _, volume := range spec.Volumes {
		if volume.Secret == nil {
			continue
		}
		obj, err := client.Get(corev1.SchemeGroupVersion.WithKind("Secret"), namespace, volume.Secret.SecretName)
		if err != nil {
			return nil, err
		}
		var secret corev1.Secret
		if err := kube.Into(obj, &secret); err != nil {
			return nil, err
		}
		to := filepath.Join(dir, volume.Name)
		if err := os.MkdirAll(to, 0o700); err != nil {
			return nil, err
		}
		for _, item := range volume.Secret.Items {
			if err := os.WriteFile(filepath.Join(to, item.Path), secret.Data[item.Key], 0o600); err != nil {
				return nil, err
			}
		}
		for _, mount := range spec.Containers[0].VolumeMounts {
			if mount.Name == volume.Name {
				mounts[mount.MountPath] = to
			}
		}
	}
	return mounts, nil
}

// A processServer is a program as a Server.
type processServer struct{ *process.Process }

func (s processServer) Close() error {
	s.Kill()
	return nil
}

func (s processServer) Shutdown(context.Context) error {
	s.Stop()
	return nil
}

// A forwarderServer is a forwarder as a Server.
type forwarderServer struct{ *forward.Forwarder }

func (s forwarderServer) Shutdown(context.Context) error { return s.Close() }
