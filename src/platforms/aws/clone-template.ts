/** The CloudFormation template of a clone of an Aurora cluster, or of an empty cluster like it. */

import {
  attribute,
  ref,
  sub,
  type Template,
  type TemplateResource,
  type TemplateValue,
} from './cloudformation.ts';

export interface CloneDesign {
  readonly mode: 'clone' | 'create';
  readonly clusterId: string;
  /** Its ARN, where it belongs to another account. */
  readonly sourceClusterId: string;
  readonly engine: 'aurora-postgresql' | 'aurora-mysql';
  /** Of an empty cluster; a clone has that of its source. */
  readonly engineVersion: string | undefined;
  readonly port: number;
  /** Both of an empty cluster. */
  readonly databaseName: string | undefined;
  readonly username: string | undefined;
  readonly vpcId: string;
  readonly subnetIds: readonly string[];
  readonly instanceClass: string;
  /** Units of `db.serverless`. */
  readonly capacity: { readonly min: number; readonly max: number } | undefined;
  /** Of an empty cluster; a clone is encrypted as its source is. */
  readonly encrypted: boolean;
  readonly kmsKeyId: string | undefined;
  readonly backupWindow: string | undefined;
  readonly backupRetentionDays: number | undefined;
  readonly maintenanceWindow: string | undefined;
  readonly clusterParameterGroup: string | undefined;
  readonly parameterGroup: string | undefined;
  readonly deletionProtection: boolean;
  readonly publiclyAccessible: boolean;
}

/**
 * Parameters: `ClientCidr`, and of an empty cluster `MasterUserPassword`. Of a clone the password is that of its source,
 * whatever a template says, until the cluster is modified. Tags are those of the stack, which hands them on.
 */
export function cloneTemplate(design: CloneDesign): Template {
  const { mode, sourceClusterId } = design;
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Description:
      mode === 'clone'
        ? `Longshore: a clone of the Aurora cluster ${sourceClusterId}`
        : `Longshore: an empty database like that of the Aurora cluster ${sourceClusterId}`,
    Metadata: mode === 'clone' ? {} : PASSWORD_IS_PARAMETER,
    Parameters: {
      ClientCidr: {
        Type: 'String',
        Description: 'Addresses that may connect',
        AllowedPattern: '(\\d{1,3}\\.){3}\\d{1,3}/\\d{1,2}',
        ConstraintDescription: 'a range of addresses such as 203.0.113.7/32',
      },
      ...(mode === 'create'
        ? {
            MasterUserPassword: {
              Type: 'String',
              Description: 'Until another is set',
              NoEcho: true,
            },
          }
        : {}),
    },
    Rules: {},
    Conditions: {},
    Resources: {
      Subnets: {
        Type: 'AWS::RDS::DBSubnetGroup',
        Properties: {
          DBSubnetGroupDescription: sub('Database of ${AWS::StackName}'),
          SubnetIds: design.subnetIds,
        },
      },
      SecurityGroup: securityGroup(design),
      Cluster: cluster(design),
      Instance: {
        Type: 'AWS::RDS::DBInstance',
        DeletionPolicy: 'Delete',
        UpdateReplacePolicy: 'Delete',
        Properties: {
          DBClusterIdentifier: ref('Cluster'),
          DBInstanceClass: design.instanceClass,
          Engine: design.engine,
          PubliclyAccessible: design.publiclyAccessible,
          ...given({
            DBParameterGroupName: design.parameterGroup,
            PreferredMaintenanceWindow: design.maintenanceWindow,
          }),
        },
      },
    },
    Outputs: {
      Endpoint: { Description: 'Host of the writer', Value: attribute('Cluster', 'Endpoint.Address') },
      Port: { Description: 'Port', Value: attribute('Cluster', 'Endpoint.Port') },
      ClusterId: { Description: 'Identifier of the cluster', Value: ref('Cluster') },
    },
  };
}

/** The least that Aurora takes: what is lost can be made again. */
const BACKUP_DAYS_MIN = 1;

/** It is replaced before anybody uses it, so that a secret of its own, which costs, would hold nothing. */
const PASSWORD_IS_PARAMETER = { 'cfn-lint': { config: { ignore_checks: ['W1011'] } } };

function securityGroup({ vpcId, port }: CloneDesign): TemplateResource {
  return {
    Type: 'AWS::EC2::SecurityGroup',
    Properties: {
      GroupDescription: sub('Database of ${AWS::StackName}'),
      VpcId: vpcId,
      SecurityGroupIngress: [
        {
          IpProtocol: 'tcp',
          FromPort: port,
          ToPort: port,
          CidrIp: ref('ClientCidr'),
          Description: 'Whoever made the clone',
        },
      ],
      // Without a rule a group may reach everything; this one reaches nobody.
      SecurityGroupEgress: [
        { IpProtocol: '-1', CidrIp: '127.0.0.1/32', Description: 'Nothing is reached from the database' },
      ],
    },
  };
}

function cluster(design: CloneDesign): TemplateResource {
  const { capacity } = design;
  return {
    Type: 'AWS::RDS::DBCluster',
    // No final snapshot: the source, or the changelog, makes it again.
    DeletionPolicy: 'Delete',
    UpdateReplacePolicy: 'Delete',
    Properties: {
      DBClusterIdentifier: design.clusterId,
      Engine: design.engine,
      Port: design.port,
      DBSubnetGroupName: ref('Subnets'),
      VpcSecurityGroupIds: [attribute('SecurityGroup', 'GroupId')],
      DeletionProtection: design.deletionProtection,
      CopyTagsToSnapshot: true,
      BackupRetentionPeriod: design.backupRetentionDays ?? BACKUP_DAYS_MIN,
      ...(design.mode === 'clone' ? ofClone(design) : ofEmpty(design)),
      ...(capacity === undefined
        ? {}
        : { ServerlessV2ScalingConfiguration: { MinCapacity: capacity.min, MaxCapacity: capacity.max } }),
      ...given({
        KmsKeyId: design.kmsKeyId,
        PreferredBackupWindow: design.backupWindow,
        PreferredMaintenanceWindow: design.maintenanceWindow,
        DBClusterParameterGroupName: design.clusterParameterGroup,
      }),
    },
  };
}

function ofClone({ sourceClusterId }: CloneDesign): { readonly [property: string]: TemplateValue } {
  return {
    SourceDBClusterIdentifier: sourceClusterId,
    // Without it, AWS makes a full copy. With it, no time of the past can be asked for.
    RestoreType: 'copy-on-write',
    UseLatestRestorableTime: true,
  };
}

function ofEmpty(design: CloneDesign): { readonly [property: string]: TemplateValue } {
  return {
    ...given({
      EngineVersion: design.engineVersion,
      DatabaseName: design.databaseName,
      MasterUsername: design.username,
    }),
    MasterUserPassword: ref('MasterUserPassword'),
    StorageEncrypted: design.encrypted,
  };
}

/** Those that have a value. */
function given(properties: { readonly [property: string]: string | number | undefined }): {
  readonly [property: string]: TemplateValue;
} {
  return Object.fromEntries(
    Object.entries(properties).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
