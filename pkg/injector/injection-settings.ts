/** Names of `spec.containers[].resources`, as Kubernetes has them. */
export interface Resources {
  readonly requests?: Readonly<Record<string, string>>;
  readonly limits?: Readonly<Record<string, string>>;
}

/** What is led past the sidecar, for every pod; a pod's annotations add to it (facts of OSM's MeshConfig `traffic.*`). */
export interface InterceptionLists {
  readonly outboundPortExclusions?: readonly number[];
  readonly inboundPortExclusions?: readonly number[];
  /** `10.0.0.0/8`, `fd00::/8` */
  readonly outboundCidrExclusions?: readonly string[];
  /** Not empty: only these are led through the sidecar. */
  readonly outboundCidrInclusions?: readonly string[];
  readonly interfaceExclusions?: readonly string[];
}

/** What may be set of injection in the controller's configuration (`kubernetes.injection`); the chart renders it. */
export interface InjectionOptions {
  /** Made by `cmd/pod-sidecar/Dockerfile`: Envoy ≥ 1.38, iptables, and the scripts that the pod calls by their paths. */
  readonly sidecarImage: string;
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
  /** For images of pods whose own pull secrets don't open the registry: names of Secrets that must be in their namespace. */
  readonly imagePullSecrets?: readonly string[];
  /** Envoy's: trace, debug, info, warning, error, critical, off. Default `warning`. */
  readonly logLevel?: string;
  /** Worker threads of Envoy; default 2, or the CPU limit of a pod's sidecar where that is less. */
  readonly concurrency?: number;
  /** Of the sidecar; default requests of 10m CPU and 40Mi, and no limits. */
  readonly resources?: Resources;
  /** Of the init container, where there is one; default requests of 5m CPU and 10Mi. */
  readonly initResources?: Resources;
  /** `auto`, the default: where Kubernetes is 1.29 or newer. */
  readonly nativeSidecars?: 'auto' | 'always' | 'never';
  /**
   * Pods without init containers that don't end by themselves start a second or two earlier, by a sidecar that writes the
   * packet rules itself, and whose token counts before its pod's address is told (record 0010). Default false.
   */
  readonly fastStart?: boolean;
  /** Seconds that app containers without a preStop hook go on serving after their pod was told to end; default 3, 0 = none. */
  readonly preStopSleep?: number;
  /** Seconds that the pod waits for its sidecar before that is started anew; default 60. */
  readonly readyTimeout?: number;
  /** Pods have IPv6 addresses that the mesh shall serve. Otherwise TCP over IPv6 into a meshed pod is refused. */
  readonly ipv6?: boolean;
  /** The rules are written by a privileged container, which then is an init container of their own. */
  readonly privilegedInit?: boolean;
  /** Where apps listen: on loopback or all addresses (default), or on the address of the pod alone. */
  readonly localProxyMode?: 'Localhost' | 'PodIP';
  readonly interception?: InterceptionLists;
}

/** All that `toInjection` has to know besides the pod and its namespace. */
export interface InjectionSettings extends InjectionOptions {
  /** Of Tulle; becomes the annotation `tulle.dev/injected`. */
  readonly version: string;
  readonly meshName: string;
  /** The namespace of the control plane: its pods are never injected. */
  readonly controlNamespace: string;
  /** Name of the control plane's Service; its certificate is of `<service>.<controlNamespace>.svc`. */
  readonly service: string;
  readonly xdsPort: number;
  readonly otlpPort: number;
  /** ClusterIP of that Service, for pods whose `dnsPolicy` knows no names of the cluster. */
  readonly serviceIp?: string;
  /** `34` of a Kubernetes 1.34; absent: not known, taken for new. */
  readonly kubernetesMinor?: number;
}

/** A Namespace, as far as injection asks. Sent through `namespaceOf` of `createInjectorApp`. */
export interface InjectionNamespace {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}
