import type { ControllerConfig } from '../config.ts';
import type { KubernetesConfig } from '../kubernetes-config.ts';

/** The configuration of a controller that follows a cluster. */
export type ClusterControllerConfig = ControllerConfig & { readonly kubernetes: KubernetesConfig };
