package local

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// containerPorts are those that the manifests of the suite name, with the variable by which echo-basic takes another. It listens
// on all addresses, so no two pods of one network can have the same.
var containerPorts = []struct {
	port     int32
	variable string
}{{3000, "HTTP_PORT"}, {3001, "H2C_PORT"}}

// firstPort is the first real port of a pod, far from those of Gateways.
const firstPort = 20000

// pods are the processes of all Deployments. As an HTTP handler they answer for their logs as an API server would.
type pods struct {
	tools Tools

	mu  sync.Mutex
	all []*pod
}

type pod struct {
	object  corev1.Pod
	ports   map[int32]int32
	process *exec.Cmd
	log     podLog
}

func newPods(tools Tools) *pods { return &pods{tools: tools} }

// run starts the pods of Deployments that have none.
func (p *pods) run(ctx context.Context, objects client.Client, deployments []appsv1.Deployment) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := len(p.all)
	for _, deployment := range deployments {
		if !isEcho(&deployment) || p.has(&deployment) {
			continue
		}
		replicas := int32(1)
		if deployment.Spec.Replicas != nil {
			replicas = *deployment.Spec.Replicas
		}
		for i := range replicas {
			if err := p.start(&deployment, i); err != nil {
				return err
			}
		}
	}
	for _, pod := range p.all[known:] {
		if err := awaitPort(ctx, pod.ports[3000]); err != nil {
			return fmt.Errorf("pod %s: %w", pod.object.Name, err)
		}
		if err := objects.Create(ctx, pod.object.DeepCopy()); err != nil {
			return err
		}
	}
	return nil
}

// isEcho reports whether a Deployment runs echo-basic for HTTP or gRPC. Those with certificates and those for TCP and UDP are backends of
// tests that are not run.
func isEcho(deployment *appsv1.Deployment) bool {
	template := &deployment.Spec.Template.Spec
	return len(template.Volumes) == 0 && strings.Contains(template.Containers[0].Image, "/echo-basic:")
}

func (p *pods) has(deployment *appsv1.Deployment) bool {
	for _, pod := range p.all {
		if pod.object.Namespace == deployment.Namespace && pod.object.Labels["app"] == deployment.Name {
			return true
		}
	}
	return false
}

func (p *pods) start(deployment *appsv1.Deployment, replica int32) error {
	number := len(p.all)
	one := &pod{ports: map[int32]int32{}}
	one.object = corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: deployment.Namespace,
			Name:      fmt.Sprintf("%s-pod-%d", deployment.Name, replica), // the suite cuts two words off
			Labels:    deployment.Spec.Template.Labels,
		},
		Spec: deployment.Spec.Template.Spec,
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			PodIPs:     []corev1.PodIP{{IP: fmt.Sprintf("127.1.0.%d", number+1)}},
		},
	}
	environment := []string{"POD_NAME=" + one.object.Name, "NAMESPACE=" + one.object.Namespace}
	for _, variable := range one.object.Spec.Containers[0].Env {
		if variable.Value != "" {
			environment = append(environment, variable.Name+"="+variable.Value)
		}
	}
	for i, container := range containerPorts {
		real := int32(firstPort + number*len(containerPorts) + i)
		one.ports[container.port] = real
		environment = append(environment, fmt.Sprintf("%s=%d", container.variable, real))
	}
	one.process = exec.Command(p.tools.Echo)
	one.process.Env = environment
	one.process.Stdout, one.process.Stderr = &one.log, &one.log
	one.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.all = append(p.all, one)
	return one.process.Start()
}

func awaitPort(ctx context.Context, port int32) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return connection.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("port %d is not open after 20 seconds: %w", port, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *pods) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pod := range p.all {
		pod.process.Process.Kill()
		pod.process.Wait()
	}
}

// endpointSlice is the slice that the endpoint controller would write.
func (p *pods) endpointSlice(service *corev1.Service) discoveryv1.EndpointSlice {
	slice := discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace,
			Name:      service.Name + "-controlled",
			Labels:    map[string]string{discoveryv1.LabelServiceName: service.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, port := range service.Spec.Ports {
		number := port.TargetPort.IntVal
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &port.Name, Port: &number, Protocol: &port.Protocol})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	selector := labels.SelectorFromSet(service.Spec.Selector)
	for _, pod := range p.all {
		if pod.object.Namespace == service.Namespace && selector.Matches(labels.Set(pod.object.Labels)) {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{pod.object.Status.PodIPs[0].IP}})
		}
	}
	return slice
}

// split makes one slice for each endpoint, with the ports that its pod really has.
func (p *pods) split(slice discoveryv1.EndpointSlice) []discoveryv1.EndpointSlice {
	p.mu.Lock()
	defer p.mu.Unlock()
	var split []discoveryv1.EndpointSlice
	for i, endpoint := range slice.Endpoints {
		one := slice.DeepCopy()
		one.Name = fmt.Sprintf("%s-%d", slice.Name, i)
		one.Endpoints = []discoveryv1.Endpoint{endpoint}
		for j, port := range one.Ports {
			if real, ok := p.real(endpoint.Addresses[0], *port.Port); ok {
				one.Ports[j].Port = &real
			}
		}
		split = append(split, *one)
	}
	return split
}

func (p *pods) real(address string, port int32) (int32, bool) {
	for _, pod := range p.all {
		if pod.object.Status.PodIPs[0].IP == address {
			real, ok := pod.ports[port]
			return real, ok
		}
	}
	return 0, false
}

// ServeHTTP answers GET /api/v1/namespaces/NAMESPACE/pods/POD/log.
func (p *pods) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	var namespace, name string
	path := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	if len(path) == 7 && path[6] == "log" {
		namespace, name = path[3], path[5]
	}
	since, err := time.Parse(time.RFC3339, request.URL.Query().Get("sinceTime"))
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pod := range p.all {
		if client.ObjectKeyFromObject(&pod.object) == (types.NamespacedName{Namespace: namespace, Name: name}) {
			response.Write(pod.log.since(since))
			return
		}
	}
	http.NotFound(response, request)
}

// A podLog keeps what a pod writes, with the times.
type podLog struct {
	mu      sync.Mutex
	entries []entry
}

type entry struct {
	at   time.Time
	text []byte
}

func (l *podLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, entry{at: time.Now(), text: bytes.Clone(text)})
	return len(text), nil
}

func (l *podLog) since(time time.Time) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text []byte
	for _, entry := range l.entries {
		if !entry.at.Before(time) {
			text = append(text, entry.text...)
		}
	}
	return text
}
